# mypy: ignore-errors
"""The client, as far as the type of a service is asked through it."""

from __future__ import annotations

import json
import urllib.request


class OpenMetadata:
    def __init__(self, connection):
        self._connection = connection
        self.client = self

    def get(self, path):
        token = self._connection["securityConfig"]["jwtToken"]
        url = self._connection["hostPort"].rstrip("/") + "/v1" + path
        request = urllib.request.Request(url, headers={"Authorization": "Bearer " + token})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as response:
            return json.loads(response.read())
