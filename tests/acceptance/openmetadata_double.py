"""An OpenMetadata server as far as minisched and its runs speak to one: it knows a service and hears of runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any
from urllib.parse import unquote

from tests.scripted_http import Asked, scripted_server

SERVICE = {
    "id": "891b373d-a253-4639-ad54-fc17491a7d5d",
    "name": "shop",
    "fullyQualifiedName": "shop",
    "serviceType": "Mysql",
    "connection": {"config": {"type": "Mysql"}},
}
TERMINAL = frozenset({"success", "partialSuccess", "failed", "stopped"})


@dataclass
class OpenMetadataDouble:
    """`heard` has every status in the order in which it came, by run id; `url` is the API without version."""

    url: str = ""
    heard: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def answer(self, asked: Asked) -> tuple[int, Any]:
        path = unquote(asked.path.partition("?")[0]).removeprefix("/api/v1")
        if path.startswith("/services/databaseServices/"):
            return 200, SERVICE
        if "/pipelineStatus" in path:
            return self._status(asked, path.rpartition("/")[2])
        return 404, {"code": 404, "message": f"nothing at {path}"}

    def _status(self, asked: Asked, run_id: str) -> tuple[int, Any]:
        with self.lock:
            if asked.method == "PUT":
                self.heard.setdefault(asked.body["runId"], []).append(asked.body)
                return 201, {}
            known = self.heard.get(run_id)
            return 200, known[-1] if known else b""

    def states_of(self, run_id: str) -> list[str]:
        """What was said of the run, in order."""
        with self.lock:
            return [status["pipelineState"] for status in self.heard.get(run_id, [])]

    def ends_of(self, run_id: str) -> list[str]:
        """The terminal states that were said of the run."""
        return [state for state in self.states_of(run_id) if state in TERMINAL]


@contextmanager
def openmetadata_double() -> Iterator[OpenMetadataDouble]:
    double = OpenMetadataDouble()
    with scripted_server(double.answer) as server:
        double.url = f"{server.url}/api"
        yield double
