# mypy: ignore-errors
"""An application behaves as its appConfig says: it needs no service, so a server can run it with nothing behind it."""

from __future__ import annotations

from .metadata import MetadataWorkflow


class ApplicationWorkflow(MetadataWorkflow):
    def __init__(self, config):
        super().__init__({**config, "source": config.get("appConfig") or {}})
