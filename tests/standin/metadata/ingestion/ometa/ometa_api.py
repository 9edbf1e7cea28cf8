# mypy: ignore-errors
"""The shape of the package's client of OpenMetadata: a REST client that raises what the server refuses."""

from __future__ import annotations

import json
import urllib.request


class REST:
    def __init__(self, connection):
        self._base = connection["hostPort"].rstrip("/") + "/v1"
        self._token = (connection.get("securityConfig") or {}).get("jwtToken") or ""

    def get(self, path):
        return self._call("GET", path)

    def put(self, path, document):
        return self._call("PUT", path, json.dumps(document).encode())

    def _call(self, method, path, body=None):
        headers = {"Authorization": "Bearer " + self._token, "Content-Type": "application/json"}
        request = urllib.request.Request(self._base + path, data=body, method=method, headers=headers)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as response:
            answer = response.read()
        return json.loads(answer) if answer.strip() else None


class OpenMetadata:
    def __init__(self, connection):
        self.client = REST(connection.values)
