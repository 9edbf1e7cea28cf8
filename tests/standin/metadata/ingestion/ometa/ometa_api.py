# mypy: ignore-errors
"""The shape of the package's client of OpenMetadata: a REST client that raises what the server refuses."""

from __future__ import annotations

import json
import urllib.error
import urllib.request


class REST:
    def __init__(self, connection):
        self._base = connection["hostPort"].rstrip("/") + "/v1"
        self._token = (connection.get("securityConfig") or {}).get("jwtToken") or ""

    def get(self, path):
        return self._call("GET", path)

    def put(self, path, document):
        return self._call("PUT", path, json.dumps(document).encode())

    def patch(self, path, document):
        return self._call("PATCH", path, json.dumps(document).encode(), "application/json-patch+json")

    def _call(self, method, path, body=None, content_type="application/json"):
        headers = {"Authorization": "Bearer " + self._token, "Content-Type": content_type}
        request = urllib.request.Request(self._base + path, data=body, method=method, headers=headers)
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as response:
                answer = response.read()
        except urllib.error.HTTPError as error:
            error.status_code = error.code  # as the package's own errors have it
            raise
        return json.loads(answer) if answer.strip() else None


class OpenMetadata:
    def __init__(self, connection):
        self.client = REST(connection.values)

    def patch_automation_workflow_response(self, workflow, response, status):
        value = {"status": response.status, "steps": response.raw}
        operations = [
            {"op": "add", "path": "/response", "value": value},
            {"op": "add", "path": "/status", "value": status},
        ]
        self.client.patch("/automations/workflows/" + workflow.id, operations)
