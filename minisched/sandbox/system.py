"""What a server says about itself: version, settings, who the caller is, the types that it knows."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from minisched.domain.errors import InvalidInput
from minisched.domain.pipeline import Document
from minisched.sandbox.calls import Answer, Call, Endpoint
from minisched.sandbox.catalog import Catalog
from minisched.sandbox.kinds import BY_TYPE
from minisched.sandbox.presentation import Presenter
from minisched.sandbox.references import not_found

SETTING = "setting"
CUSTOM_PROPERTY = "customProperty"

_NAMESPACE = uuid.UUID("d7c9b6a0-2b8e-5d61-9b0f-4f6a3c2e1d33")
_DEFAULT_SETTINGS: dict[str, Document] = {"profilerConfiguration": {"metricConfiguration": []}}


class System:
    """The handlers of /system, /metadata/types and /users/loggedInUser."""

    def __init__(self, catalog: Catalog, presenter: Presenter, server_version: Callable[[], str]) -> None:
        self._catalog = catalog
        self._presenter = presenter
        self._server_version = server_version

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint("GET", "system/version", self.version),
            Endpoint("GET", "system/status", self.status),
            Endpoint("GET", "system/config/auth", self.auth_config),
            Endpoint("GET", "system/settings", self.settings),
            Endpoint("PUT", "system/settings", self.put_setting),
            Endpoint("GET", "system/settings/{name}", self.setting),
            Endpoint("GET", "users/loggedInUser", self.logged_in_user),
            Endpoint("GET", "metadata/types/name/{name}", self.type_by_name),
            Endpoint("PUT", "metadata/types/{type_id}", self.put_custom_property),
        ]

    def version(self, _call: Call) -> Answer:
        return Answer({"version": self._server_version(), "revision": "minisched-sandbox", "timestamp": 0})

    def status(self, _call: Call) -> Answer:
        return Answer({"status": "healthy"})

    def auth_config(self, _call: Call) -> Answer:
        return Answer({"provider": "basic", "enableSelfSignup": False})

    def logged_in_user(self, call: Call) -> Answer:
        user = self._catalog.require_fqn("user", call.caller.name)
        return Answer(self._presenter.show(BY_TYPE["user"], user, call.caller, call.fields()))

    # --- settings -----------------------------------------------------------------------------------------------------

    def settings(self, _call: Call) -> Answer:
        kept = {document["name"]: document["value"] for document in self._catalog.every(SETTING)}
        data = [_setting(name, value) for name, value in {**_DEFAULT_SETTINGS, **kept}.items()]
        return Answer({"data": data, "paging": {"total": len(data)}})

    def setting(self, _call: Call, name: str) -> Answer:
        kept = self._catalog.find(SETTING, name)
        value = kept["value"] if kept is not None else _DEFAULT_SETTINGS.get(name)
        if value is None:
            raise not_found("settings", name)
        return Answer(_setting(name, value))

    def put_setting(self, call: Call) -> Answer:
        request = call.document()
        name = request.get("config_type")
        if not isinstance(name, str) or not name:
            raise InvalidInput("config_type must not be null", field="config_type")
        value = request.get("config_value") or {}
        self._catalog.put_raw(SETTING, [_named(f"setting:{name}", name, name) | {"value": value}])
        return Answer(_setting(name, value))

    # --- types and their custom properties ----------------------------------------------------------------------------

    def type_by_name(self, call: Call, name: str) -> Answer:
        described = _type(name)
        if "customProperties" in call.fields():
            kept = self._catalog.every(CUSTOM_PROPERTY, described["id"])
            described["customProperties"] = [document["value"] for document in kept]
        return Answer(described)

    def put_custom_property(self, call: Call, type_id: str) -> Answer:
        request = call.document()
        name = request.get("name")
        if not isinstance(name, str) or not name:
            raise InvalidInput("name must not be null", field="name")
        fqn = f"{type_id}.{name}"
        self._catalog.put_raw(CUSTOM_PROPERTY, [_named(f"property:{fqn}", name, fqn) | {"value": request}])
        owner = next((kind for kind in BY_TYPE if _type(kind)["id"] == type_id), "custom")
        return Answer(_type(owner))


def _setting(name: str, value: Document) -> Document:
    return {"config_type": name, "config_value": value}


def _named(seed: str, name: str, fqn: str) -> Document:
    return {"id": str(uuid.uuid5(_NAMESPACE, seed)), "name": name, "fullyQualifiedName": fqn}


def _type(name: str) -> Document:
    """A type of entity or of custom property; every name that is asked for is one."""
    return {
        "id": str(uuid.uuid5(_NAMESPACE, f"type:{name}")),
        "name": name,
        "fullyQualifiedName": name,
        "displayName": name,
        "description": f"The type {name}.",
        "category": "entity" if name in BY_TYPE else "field",
        "nameSpace": "data" if name in BY_TYPE else "type",
    }
