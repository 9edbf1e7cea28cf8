"""OpenMetadata's `AirflowRESTClient` as seen on the wire: its headers, its order of calls, its reading of answers."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx

from minisched.domain.pipeline import Document

PREFIXES = ("pluginsv2/api/v2/openmetadata", "api/v2/openmetadata", "api/v1/openmetadata")
# Codes that the client has a name for; with another one it may break.
KNOWN_CODES = frozenset({200, 400, 401, 403, 404, 409, 500, 503})


def basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


@dataclass
class JavaClient:
    """Finds the prefix at the first call, and asks for a token before each POST and DELETE while it has none."""

    http: httpx.Client
    endpoint: str
    username: str = "admin"
    password: str = "admin"
    prefix: str | None = None
    calls: list[str] = field(default_factory=list)

    def detect(self) -> str:
        for prefix in PREFIXES:
            answer = self._send("GET", f"{prefix}/health-auth")
            if answer.status_code == 200 and isinstance(_json(answer).get("version"), str):
                return prefix
        raise AssertionError(f"unable to connect to Airflow APIs at {self.endpoint}")

    def get(self, path: str) -> httpx.Response:
        return self._send("GET", self._below(path))

    def post(self, path: str, body: Any) -> httpx.Response:
        return self._changing("POST", path, json.dumps(body, ensure_ascii=False).encode())

    def delete(self, path: str) -> httpx.Response:
        return self._changing("DELETE", path, None)

    def _below(self, path: str) -> str:
        self.prefix = self.prefix or self.detect()
        return f"{self.prefix}/{path}"

    def _changing(self, method: str, path: str, body: bytes | None) -> httpx.Response:
        path = self._below(path)
        token = self._send("GET", f"{self.prefix}/csrf-token")
        assert _json(token).get("csrf_token") is None
        answer = self._send(method, path, body)
        if answer.status_code == 400 and "CSRF token" in answer.text:
            raise AssertionError("the client would send this again")
        return answer

    def _send(self, method: str, path: str, body: bytes | None = None) -> httpx.Response:
        self.calls.append(f"{method} {path.partition('?')[0]}")
        headers = {
            "Content-Type": "application/json",
            "Authorization": basic(self.username, self.password),
            "User-Agent": "Java-http-client/21.0.4",
        }
        answer = self.http.request(method, f"{self.endpoint}/{path}", content=body, headers=headers)
        assert answer.status_code in KNOWN_CODES
        assert answer.headers["content-type"].startswith("application/json")
        return answer


def _json(answer: httpx.Response) -> Document:
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def deploy_payload(url: str, *, service: Document, token: str = "eyJ.bot.token", **changes: Any) -> Document:
    """The whole IngestionPipeline with the bot's connection, as a server sends it; `url` is the server's API."""
    name = changes.pop("name", f"mysql_metadata_{uuid4().hex[:8]}")
    return {
        "id": str(uuid4()),
        "name": name,
        "displayName": "mysql metadata",
        "pipelineType": "metadata",
        "fullyQualifiedName": f"{service['name']}.{name}",
        "sourceConfig": {"config": {"type": "DatabaseMetadata", "includeTables": True}},
        "openMetadataServerConnection": {
            "clusterName": "openmetadata",
            "type": "OpenMetadata",
            "hostPort": url,
            "authProvider": "openmetadata",
            "verifySSL": "no-ssl",
            "securityConfig": {"jwtToken": token},
            "secretsManagerProvider": "db",
            "secretsManagerLoader": "noop",
        },
        "airflowConfig": {
            "pausePipeline": False,
            "concurrency": 1,
            "pipelineTimezone": "UTC",
            "retries": 0,
            "retryDelay": 300,
            "pipelineCatchup": False,
            "scheduleInterval": "0 2 * * *",
            "maxActiveRuns": 1,
            "workflowDefaultView": "tree",
            "workflowDefaultViewOrientation": "LR",
        },
        "service": {
            "id": service["id"],
            "type": "databaseService",
            "name": service["name"],
            "fullyQualifiedName": service["name"],
        },
        "loggerLevel": "INFO",
        "raiseOnError": True,
        "enabled": True,
        "deployed": False,
        "provider": "user",
        "version": 0.1,
        **changes,
    }
