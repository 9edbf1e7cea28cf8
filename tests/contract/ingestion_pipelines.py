"""What every test of the ingestion pipeline API starts from: an API, a service, and what can be asked of both."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from minisched.domain.pipeline import Document
from tests.api_worlds import PIPELINES

JSON_PATCH = {"Content-Type": "application/json-patch+json"}
CHANGE = "X-OpenMetadata-Change"


@dataclass
class Api:
    """An API behind an httpx-like client, with a service and an owner that it knows.

    `new_service` takes a name and, if it is to have one, its owner; `new_table` an FQN whose service exists;
    `new_test_case` a table and a name, and answers with a reference to the suite and the FQN of the case.
    """

    http: Any
    base_url: str
    service: Document
    owner: Document
    other_owner: Document
    new_service: Callable[..., Document]
    new_table: Callable[[str], None]
    new_test_case: Callable[[str, str], tuple[Document, str]]

    def request(self, **changes: Any) -> Document:
        """A create request with a name of its own, below the service."""
        request: Document = {
            "name": f"nightly_{uuid4().hex[:8]}",
            "pipelineType": "metadata",
            "service": {"id": self.service["id"], "type": self.service["type"]},
            "sourceConfig": {"config": {"type": "DatabaseMetadata"}},
            "airflowConfig": {"scheduleInterval": "0 2 * * *"},
        }
        return {**request, **changes}

    def get(self, path: str, **params: Any) -> Any:
        return self.http.get(PIPELINES + path, params=params)

    def post(self, path: str = "", body: Any = None) -> Any:
        return self.http.post(PIPELINES + path, json=body)

    def put(self, path: str = "", body: Any = None) -> Any:
        return self.http.put(PIPELINES + path, json=body)

    def delete(self, path: str, **params: Any) -> Any:
        return self.http.delete(PIPELINES + path, params=params)

    def patch(self, path: str, *operations: Any, content: str | None = None) -> Any:
        body = json.dumps(operations) if content is None else content
        return self.http.patch(PIPELINES + path, content=body, headers=JSON_PATCH)

    def send(self, method: str, path: str, content: bytes) -> Any:
        """A body as it is."""
        return self.http.request(method, PIPELINES + path, content=content)

    def created(self, **changes: Any) -> Document:
        answer = self.post(body=self.request(**changes))
        assert answer.status_code == 201, answer.text
        return document(answer)

    def deployed(self, **changes: Any) -> Document:
        pipeline = self.created(**changes)
        answer = self.post(f"/deploy/{pipeline['id']}")
        assert answer.status_code == 200, answer.text
        assert answer.json()["code"] == 200
        return self.current(pipeline)

    def current(self, pipeline: Document) -> Document:
        return document(self.get(f"/{pipeline['id']}", fields="owners,domains"))


def document(answer: Any) -> Document:
    found: Document = answer.json()
    assert isinstance(found, dict)
    return found


def encoded(fqn: str) -> str:
    return quote(fqn, safe="")


def a_status(**changes: Any) -> Document:
    """A PipelineStatus of a run of its own."""
    status = {"runId": str(uuid4()), "pipelineState": "success", "startDate": 1735689600000, "timestamp": 1735689600000}
    return {**status, **changes}


def refused(answer: Any, code: int, *words: str) -> str:
    """The message of an error in OpenMetadata's shape, which holds the words."""
    assert answer.status_code == code, answer.text
    assert answer.headers["content-type"].startswith("application/json")
    body = answer.json()
    assert body["code"] == code
    message = str(body["message"])
    for word in words:
        assert word in message
    return message
