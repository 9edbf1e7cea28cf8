"""How the runtime that we run in was made, for advice on how to make it anew."""

from __future__ import annotations

import json
import os
import shlex
import sys
from typing import Any

_MANIFEST = "manifest.json"  # of runtimes/runtime.py


def advice_for_extra(connector: str) -> str:
    """What to do when a connector's packages are missing; the package's own advice, plain pip, is not for our runtimes.

    A runtime that somebody else made has no manifest, and is left to whoever made it.
    """
    wanted = _extra_of(connector)
    manifest = _manifest()
    if manifest is None:
        return "Add the extra {} to the runtime.".format(wanted or "of this connector")
    command = "minisched runtime create {} --replace --version {} --extras {}".format(
        shlex.quote(str(manifest["name"])),
        manifest["version"],
        ",".join(dict.fromkeys([*map(str, manifest["extras"]), wanted or "EXTRA"])),
    )
    named = "the extra {}".format(wanted) if wanted else "this connector's EXTRA, which has another name than it"
    return "Build the runtime anew with {}, not with pip: {}".format(named, command)


def _manifest() -> dict[str, Any] | None:
    try:
        with open(os.path.join(sys.prefix, _MANIFEST), encoding="utf-8") as file:
            manifest = json.load(file)
        complete = isinstance(manifest["extras"], list) and bool(manifest["name"]) and bool(manifest["version"])
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return manifest if complete else None


def _extra_of(connector: str) -> str | None:
    """Of its -usage and -lineage too; sap-hana for saphana. None when the package has none of such a name."""
    name = _plain(connector.split("-")[0])
    return next((extra for extra in _extras_of_package() if _plain(extra) == name), None)


def _extras_of_package() -> list[str]:
    from importlib import metadata as distributions

    try:
        return distributions.metadata("openmetadata-ingestion").get_all("Provides-Extra") or []
    except distributions.PackageNotFoundError:
        return []


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
