"""One request to the plugin and its answer: where its routes are, who asks, and the token that changes need.

Everything is asked anew on a connection of its own, so that any number of threads may call; what is kept is the prefix.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus

import httpx

from minisched.clients.airflow.answer import Answer, answer_of
from minisched.clients.airflow.refusals import broken_connection, missing, refusal
from minisched.clients.airflow.server import AirflowServer
from minisched.clients.bounded_transport import BoundedTransport
from minisched.domain.errors import OrchestratorError
from minisched.domain.pipeline import Document

# Airflow 3, one that never was, Airflow 2: OpenMetadata's own order (contract §1.2).
PREFIXES = ("pluginsv2/api/v2/openmetadata", "api/v2/openmetadata", "api/v1/openmetadata")

# A page of a log has two million characters, and each may take six bytes of JSON.
_MOST_BYTES = 64 * 1024 * 1024
_TOKEN_REFUSED = "CSRF token"  # noqa: S105 - what the plugin says


class Plugin:
    """`version` is that of the ingestion package, as it was told last."""

    def __init__(self, server: AirflowServer) -> None:
        self.server = server
        self.version: str | None = None
        self._prefix: str | None = None

    def ask(self, route: str, **arguments: str) -> Answer:
        """GET. Raises OrchestratorUnavailable, OrchestratorRejected when there is no plugin at all."""
        return self._call("GET", route, arguments, None)

    def ask_version(self) -> str | None:
        """The version as it is now. Raises as `ask`."""
        self._find()
        return self.version

    def post(self, route: str, body: Document, **arguments: str) -> Answer:
        """Raises as `ask`."""
        return self._call("POST", route, arguments, body)

    def delete(self, route: str, **arguments: str) -> Answer:
        """Raises as `ask`."""
        return self._call("DELETE", route, arguments, None)

    def delete_records(self, workflow_id: str) -> bool:
        """What Airflow's database has of a pipeline, by Airflow's own API; False when it is not so willing.

        Airflow 3 takes no password there, but a token that it gives for one.
        """
        is_three = (self._prefix or self._find()) == PREFIXES[0]
        account = {"username": self.server.username, "password": self.server.password}
        with self._http("DELETE") as http:
            if not is_three:
                return http.delete(f"api/v1/dags/{workflow_id}").is_success
            login = answer_of(http.post("auth/token", json=account))
            token = login.body.get("access_token") if isinstance(login.body, dict) else None
            headers = {"Authorization": f"Bearer {token}"}
            return http.delete(f"api/v2/dags/{workflow_id}", headers=headers, auth=httpx.Auth()).is_success

    def _call(self, method: str, route: str, arguments: Mapping[str, str], body: Document | None) -> Answer:
        prefix = self._prefix or self._find()
        answer = self._sent(method, f"{prefix}/{route}", arguments, body)
        if answer.status == HTTPStatus.NOT_FOUND:
            # Either the plugin's word, or it has moved: an Airflow that was upgraded serves it elsewhere, and answers
            # in the same form. Nobody has seen the request then.
            found = self._find()
            return answer if found == prefix else self._sent(method, f"{found}/{route}", arguments, body)
        if not answer.is_the_plugins:
            self._prefix = None
        return answer

    def _find(self) -> str:
        """The first prefix under which the plugin answers, kept for the next time. Raises the most telling refusal."""
        others = []
        for prefix in PREFIXES:
            answer = self._sent("GET", f"{prefix}/health-auth", {}, None)
            if answer.ok and isinstance(answer.body, dict) and isinstance(answer.body.get("version"), str):
                self._prefix, self.version = prefix, answer.body["version"]
                return prefix
            others.append(answer)
        raise self._most_telling(others)

    def _most_telling(self, answers: list[Answer]) -> OrchestratorError:
        """A 404 only says that it is not here; whatever else was answered says more."""
        telling = [answer for answer in answers if answer.status != HTTPStatus.NOT_FOUND]
        if not telling:
            return missing(self.server)
        return refusal(max(telling, key=lambda answer: bool(answer.reason)), self.server, "tell its state")

    def _sent(self, method: str, path: str, arguments: Mapping[str, str], body: Document | None) -> Answer:
        with self._http(method) as http:
            if method == "GET":
                return answer_of(http.request(method, path, params=arguments))
            content = None if body is None else json.dumps(body).encode()

            def changed() -> Answer:
                headers = _token(http, path)
                return answer_of(http.request(method, path, params=arguments, content=content, headers=headers))

            answer = changed()
            # A token may expire between the two; nothing was done then.
            if answer.status == HTTPStatus.BAD_REQUEST and _TOKEN_REFUSED in answer.text:
                answer = changed()
            return answer

    @contextmanager
    def _http(self, method: str) -> Iterator[httpx.Client]:
        server = self.server
        total_s = server.within_s(method)
        transport = BoundedTransport(
            server.url, ssl_context=server.tls, total_s=server.connect_timeout_s + total_s, most_bytes=_MOST_BYTES
        )
        try:
            with httpx.Client(
                base_url=server.url,
                auth=httpx.BasicAuth(server.username, server.password),
                headers={"Content-Type": "application/json", "Accept": "application/json"},
                timeout=httpx.Timeout(total_s, connect=server.connect_timeout_s),
                transport=transport,
            ) as client:
                yield client
        except (httpx.HTTPError, OSError) as error:
            self._prefix = None
            raise broken_connection(error, server, method) from error


def _token(http: httpx.Client, path: str) -> dict[str, str]:
    """The headers by which a change shows that it is meant; none where the plugin wants none (contract §1.5).

    From the body, else from a cookie that is named so. The cookies go along, secure or not.
    """
    response = http.get(f"{path.rpartition('/')[0]}/csrf-token")
    answer = answer_of(response)
    if not answer.ok:
        return {}
    cookies = [cookie.partition(";")[0].strip() for cookie in response.headers.get_list("set-cookie")]
    named = [cookie.partition("=")[2] for cookie in cookies if "csrf" in cookie.lower()]
    said = answer.body.get("csrf_token") if isinstance(answer.body, dict) else None
    token = said if isinstance(said, str) and said else next(iter(named), None)
    headers = {"Cookie": "; ".join(cookies)} if cookies else {}
    return headers | ({"X-CSRFToken": token} if token else {})
