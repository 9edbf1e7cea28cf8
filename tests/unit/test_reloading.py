"""What a reload takes over, and what it leaves for a restart."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from minisched.app.reloading import RELOADABLE, changed_names, merged, reload
from minisched.domain.errors import ConfigurationError
from minisched.settings import Settings, load_settings
from minisched.settings.tree import leaves

OLD = load_settings(environ={})
NEW = load_settings(environ={"MINISCHED_EXECUTOR__SLOTS": "9", "MINISCHED_SERVER__PORT": "9999"})


class Server:
    def __init__(self) -> None:
        self.settings = OLD

    def reload(self, settings: Settings) -> None:
        self.settings = settings


def test_what_is_reloadable_exists() -> None:
    assert {leaf.name for leaf in leaves()} >= RELOADABLE


@pytest.mark.parametrize("name", sorted(RELOADABLE))
def test_every_reloadable_value_is_taken_over(name: str) -> None:
    section, _, key = name.partition(".")
    values = getattr(OLD, section).model_copy(update={key: "something else"})
    fresh = OLD.model_copy(update={section: values})
    assert changed_names(OLD, fresh) == {name}
    assert changed_names(fresh, merged(OLD, fresh)) == set()


def test_the_rest_is_kept_and_named() -> None:
    server = Server()
    with capture_logs() as logs:
        reload(server, lambda: NEW)
    assert (server.settings.executor.slots, server.settings.server.port) == (9, OLD.server.port)
    assert [(entry["event"], entry.get("changed") or entry.get("names")) for entry in logs] == [
        ("settings.reloaded", ["executor.slots"]),
        ("settings.need_a_restart", ["server.port"]),
    ]


def test_wrong_settings_change_nothing() -> None:
    def wrong() -> Settings:
        raise ConfigurationError("executor.slots: no number", field="executor.slots")

    server = Server()
    with capture_logs() as logs:
        reload(server, wrong)
    assert server.settings is OLD
    assert [entry["event"] for entry in logs] == ["settings.not_reloaded"]
