"""Requests of a run wait for an OpenMetadata that restarts, once it has answered, and never do anything twice."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from minisched.worker import outages
from minisched.worker.outages import Outage, wait_out

URL = "http://om:8585/api"


class ConnectionError(OSError):  # noqa: A001 - the name of that of `requests`
    """As `requests` raises it."""


class NewConnectionError(Exception):
    """As urllib3 does."""


def refused() -> ConnectionError:
    return ConnectionError(SimpleNamespace(reason=NewConnectionError()))


class Server:
    """Answers, or raises what `fails` holds, first to last; `time` passes with every pause."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fails: list[Exception] = []
        self.asked: list[str] = []
        self.time = 100.0
        clock = SimpleNamespace(monotonic=lambda: self.time, sleep=self._sleep)
        monkeypatch.setattr(outages, "time", clock)

    def _sleep(self, seconds: float) -> None:
        self.time += seconds

    def send(self, method: str, url: str, **_: Any) -> str:
        self.asked.append(f"{method} {url}")
        if self.fails:
            raise self.fails.pop(0)
        return "answer"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    return Server(monkeypatch)


def test_what_was_refused_is_sent_again_until_it_is_answered(server: Server) -> None:
    request = Outage(URL).patient(server.send)
    request("GET", "version")
    server.fails = [refused() for _ in range(20)]
    assert request("PATCH", "tables", json=[]) == "answer"
    assert server.asked == ["GET version", *["PATCH tables"] * 21]


def test_a_server_that_never_answered_is_not_waited_for(server: Server) -> None:
    server.fails = [refused()]
    with pytest.raises(ConnectionError):
        Outage(URL).patient(server.send)("GET", "version")
    assert len(server.asked) == 1


@pytest.mark.parametrize(("method", "again"), [("GET", True), ("PUT", True), ("POST", False), ("PATCH", False)])
def test_what_may_have_arrived_is_only_repeated_when_that_does_no_harm(
    server: Server, method: str, again: bool
) -> None:
    request = Outage(URL).patient(server.send)
    request("GET", "version")
    server.fails = [ConnectionError("reset by peer")]
    if again:
        assert request(method, "tables") == "answer"
    else:
        with pytest.raises(ConnectionError):
            request(method, "tables")
    assert server.asked.count(f"{method} tables") == 1 + again


def test_all_requests_of_an_outage_share_the_time_and_the_next_outage_has_its_own(server: Server) -> None:
    request = Outage(URL).patient(server.send)
    request("GET", "version")
    server.fails = [refused() for _ in range(1000)]
    began = server.time
    with pytest.raises(ConnectionError):
        request("GET", "first")
    assert server.time - began == pytest.approx(outages.PATIENCE_S, abs=1)
    with pytest.raises(ConnectionError):
        request("GET", "second")
    assert server.asked.count("GET second") == 1
    server.fails = []
    request("GET", "third")
    server.fails = [refused() for _ in range(10)]
    assert request("GET", "fourth") == "answer"


def test_errors_that_are_no_broken_connection_are_not_waited_for(server: Server) -> None:
    request = Outage(URL).patient(server.send)
    request("GET", "version")
    server.fails = [ValueError("no JSON")]
    with pytest.raises(ValueError, match="no JSON"):
        request("GET", "tables")


def test_only_clients_of_the_run_s_own_server_are_made_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    class REST:
        def __init__(self, config: Any) -> None:
            self._session = SimpleNamespace(request=config.send)

    module = ModuleType("metadata.ingestion.ometa.client")
    module.REST = REST  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    wait_out(URL + "/")
    sends = {url: object() for url in (URL, "https://looker/api")}
    made = {url: REST(SimpleNamespace(base_url=url, send=send))._session.request for url, send in sends.items()}
    assert made["https://looker/api"] is sends["https://looker/api"]
    assert made[URL] is not sends[URL]


def test_a_runtime_without_the_client_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "metadata.ingestion.ometa.client", raising=False)
    wait_out(URL)
    assert "metadata.ingestion.ometa.client" not in sys.modules
