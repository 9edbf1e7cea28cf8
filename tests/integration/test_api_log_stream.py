"""Following a run's log over a real connection: as it grows, from any byte, to the end of the run or of the server."""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from minisched.cli.credentials import basic
from minisched.cli.run_log import follow_log
from minisched.cli.server import Server
from minisched.domain.access import Role
from minisched.domain.errors import StoreUnavailable
from minisched.domain.run import Run
from minisched.domain.utf8 import whole_characters
from minisched.operations.accounts import Accounts
from minisched.serving import bind, serving_in_background
from minisched.store.accounts import SqlAccountStore
from tests.api_worlds import World, a_world
from tests.credentials import ADMIN
from tests.store_kinds import a_run
from tests.waiting import wait_until

MAX_STREAMS = 3


@dataclass
class Served:
    """The application on a port of its own."""

    world: World
    url: str

    def running(self) -> Run:
        run = a_run()
        self.world.stores.runs.enqueue(run)
        return self.world.executor.start()

    def path(self, run: Run) -> str:
        return f"/api/v1/minisched/runs/{run.id}/log/stream"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with a_world(tmp_path, max_streams=MAX_STREAMS) as world, closing(bind("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with serving_in_background(world.app, listener, stopping=world.stopping):
            yield Served(world, f"http://127.0.0.1:{port}")


class Stream:
    """Events of one open stream, read one by one."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.iter_lines()

    def event(self) -> dict[str, Any]:
        """The next event: its name, id and data. StopIteration at the end of the stream."""
        event: dict[str, Any] = {"event": "message", "id": None, "data": []}
        while True:
            line = next(self._lines)
            if line.startswith(":"):
                continue
            if not line and event["data"]:
                return {**event, "data": "\n".join(event["data"])}
            field, _, value = line.partition(": ")
            if field == "data:" or field == "data":
                event["data"].append(value)
            elif line:
                event[field] = value

    def text_until_end(self) -> tuple[str, dict[str, Any]]:
        text = ""
        while (event := self.event())["event"] != "end":
            text += event["data"]
        return text, json.loads(event["data"])


@contextmanager
def opened(served: Served, run: Run, *, auth: httpx.Auth | tuple[str, str] = ADMIN, **headers: str) -> Iterator[Stream]:
    with (
        httpx.Client(base_url=served.url, trust_env=False, timeout=10, auth=auth) as client,
        client.stream("GET", served.path(run), headers=headers) as response,
    ):
        yield Stream(response)


def test_a_log_is_followed_as_it_grows_to_the_end_of_the_run(served: Served) -> None:
    run = served.running()
    served.world.logs.write(run.id, b"one\n")
    with opened(served, run) as stream:
        assert stream.response.status_code == 200
        assert stream.response.headers["content-type"].startswith("text/event-stream")
        assert stream.event() == {"event": "message", "id": "4", "data": "one\n"}
        served.world.logs.write(run.id, "zwö".encode()[:3])
        assert stream.event() == {"event": "message", "id": "6", "data": "zw"}
        served.world.logs.write(run.id, "zwö\n".encode()[3:])
        assert stream.event() == {"event": "message", "id": "9", "data": "ö\n"}
        served.world.logs.write(run.id, b"last words")
        served.world.executor.end(run.id)
        text, end = stream.text_until_end()
        assert text == "last words"
        assert end == {"state": "success", "reason": "completed", "message": "The workflow ended well."}
        with pytest.raises(StopIteration):
            stream.event()


@pytest.mark.parametrize(
    ("headers", "query"), [({"Last-Event-ID": "4"}, ""), ({}, "?offset=4"), ({"Last-Event-ID": "4"}, "?offset=0")]
)
def test_a_stream_is_resumed_at_any_byte(served: Served, headers: dict[str, str], query: str) -> None:
    run = served.running()
    served.world.logs.write(run.id, b"one\ntwo\n")
    served.world.executor.end(run.id)
    answer = httpx.get(served.url + served.path(run) + query, headers=headers, trust_env=False, auth=ADMIN)
    assert "data: two" in answer.text
    assert "data: one" not in answer.text


@pytest.mark.parametrize("offset", ["x", "-1", "1.5", "²", "9" * 40])
def test_what_is_no_offset_is_refused(served: Served, offset: str) -> None:
    run = served.running()
    headers = httpx.Headers({"Last-Event-ID": offset}, encoding="utf-8")
    answer = httpx.get(served.url + served.path(run), headers=headers, trust_env=False, auth=ADMIN)
    assert (answer.status_code, answer.json()["code"]) == (400, 400)


def test_a_large_log_arrives_whole(served: Served) -> None:
    run = served.running()
    written = ("日本 log line\r\n" * 40_000).encode()
    served.world.logs.write(run.id, written)
    served.world.executor.end(run.id)
    received: list[bytes] = []
    with Server(served.url, authorization=basic(*ADMIN)) as server:
        follow_log(server, run.id, received.append)
    assert b"".join(received) == written.replace(b"\r\n", b"\n")


def test_bytes_that_are_no_text_do_not_stop_a_stream(served: Served) -> None:
    run = served.running()
    served.world.logs.write(run.id, b"\xff\xfe\x80 odd \xe4")
    served.world.executor.end(run.id)
    with opened(served, run) as stream:
        text, _ = stream.text_until_end()
    assert text == "\ufffd\ufffd\ufffd odd \ufffd"


def test_only_so_many_streams_are_open_at_once_and_a_place_is_given_back(served: Served) -> None:
    run = served.running()
    served.world.logs.write(run.id, b"x\n")
    url = served.url + served.path(run)
    with ExitStack() as stack:
        streams = [stack.enter_context(opened(served, run)) for _ in range(MAX_STREAMS)]
        assert [stream.event()["id"] for stream in streams] == ["2"] * MAX_STREAMS
        answer = httpx.get(url, trust_env=False, auth=ADMIN)
        assert (answer.status_code, answer.json()["code"]) == (429, 429)
        assert answer.headers["Retry-After"] == "5"
    served.world.executor.end(run.id)
    wait_until(lambda: httpx.get(url, trust_env=False, auth=ADMIN).status_code == 200)


def test_streams_end_when_the_server_is_about_to_stop(served: Served) -> None:
    run = served.running()
    served.world.logs.write(run.id, b"x\n")
    with opened(served, run) as stream:
        stream.event()
        began = time.monotonic()
        served.world.stopping.set()
        with pytest.raises(StopIteration):
            stream.event()
        assert time.monotonic() - began < 2


def test_a_store_that_does_not_answer_cuts_the_stream_without_an_end(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = served.running()
    served.world.logs.write(run.id, b"x\n")
    with opened(served, run) as stream:
        stream.event()

        def down(_: str) -> Run:
            raise StoreUnavailable("The database does not answer.")

        monkeypatch.setattr(served.world.stores.runs, "get", down)
        with pytest.raises(StopIteration):
            stream.event()


class Token(httpx.Auth):
    """A token of the server's own, shown as Bearer."""

    def __init__(self, text: str) -> None:
        self._text = text

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = f"Bearer {self._text}"
        yield request


def test_a_stream_ends_with_the_right_to_read_it(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minisched.api.access._CHECKED_AGAIN_S", 0.05)
    assert served.world.stores.database is not None
    accounts = Accounts(SqlAccountStore(served.world.stores.database), served.world.stores.clock)
    accounts.add("vera", Role.VIEWER, "a password of some length")
    kept, lost = (accounts.add_token(name, user="vera", role=Role.VIEWER, valid_for=None) for name in ("kept", "lost"))
    run = served.running()
    served.world.logs.write(run.id, b"one\n")
    with opened(served, run, auth=Token(kept.text)) as going_on, opened(served, run, auth=Token(lost.text)) as cut:
        assert going_on.event()["data"] == cut.event()["data"] == "one\n"
        accounts.revoke(lost.token.id)
        with pytest.raises(StopIteration):
            cut.event()
        served.world.logs.write(run.id, b"two\n")
        assert going_on.event()["data"] == "two\n"


def test_a_silent_run_is_heard_breathing(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minisched.api.streams._HEARTBEAT_S", 0.05)
    run = served.running()
    with opened(served, run) as stream:
        lines = stream.response.iter_lines()
        beats = [line for line in (next(lines) for _ in range(8)) if line == ": heartbeat"]
    assert len(beats) >= 3


def test_many_followers_do_not_keep_requests_waiting(served: Served) -> None:
    run = served.running()
    with ExitStack() as stack:
        streams = [stack.enter_context(opened(served, run)) for _ in range(MAX_STREAMS)]
        began = time.monotonic()
        assert httpx.get(f"{served.url}/health/ready", trust_env=False, auth=ADMIN).status_code == 200
        assert time.monotonic() - began < 2
        assert len(streams) == MAX_STREAMS


@pytest.mark.parametrize(
    ("data", "ended", "length"),
    [
        (b"", False, 0),
        (b"abc", False, 3),
        ("ö".encode(), False, 2),
        ("ö".encode()[:1], False, 0),
        ("ö".encode()[:1], True, 1),
        (b"a" + "日".encode()[:2], False, 1),
        (b"a" + "😀".encode()[:3], False, 1),
        ("😀".encode(), False, 4),
        (b"\x80\x80\x80\x80", False, 4),
        (b"a\xff", False, 2),
    ],
)
def test_characters_are_not_cut(data: bytes, ended: bool, length: int) -> None:
    assert len(whole_characters(data, ended=ended)) == length
