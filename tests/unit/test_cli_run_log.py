"""Following a run's log: events, offsets, broken streams."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest

from minisched.cli import run_log
from minisched.cli.exit_codes import ServerUnreachable
from minisched.cli.run_log import Event, events, follow_log, read_log
from minisched.cli.server import Server

Answer = Callable[[httpx.Request], httpx.Response]


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_log, "_RECONNECT_S", (0.0,) * 3)


def _server(answer: Answer) -> Server:
    return Server("http://127.0.0.1:8580", httpx.MockTransport(answer))


def _stream(body: bytes) -> httpx.Response:
    return httpx.Response(200, content=body, headers={"Content-Type": "text/event-stream"})


def test_events_are_cut_at_empty_lines_and_comments_are_left_out() -> None:
    lines = [": heartbeat", "", "id: 12", "data: a", "data:  b", "data:", "", "event: end", "data: {}", "", "data: cut"]
    assert list(events(iter(lines))) == [Event("message", "a\n b\n", "12"), Event("end", "{}", "12")]


def test_only_a_newline_ends_a_line_of_a_stream() -> None:
    text = "one\u2028still one\x0bstill\x85"
    chunks = iter([f"data: {text}".encode()[:9], f"data: {text}".encode()[9:] + b"\r\n\r\nda"])
    assert list(events(run_log._lines(chunks))) == [Event("message", text, None)]


def _event(text: str, next_offset: int) -> bytes:
    lines = "".join(f"data: {line}\n" for line in text.split("\n"))
    return f"id: {next_offset}\n{lines}\n".encode()


END = b'event: end\ndata: {"state": "success"}\n\n'


def test_a_log_is_followed_to_its_end() -> None:
    body = b": heartbeat\n\n" + _event("one\n", 4) + _event("zwölf\n", 11) + END
    written: list[bytes] = []
    with _server(lambda _: _stream(body)) as server:
        follow_log(server, "r", written.append)
    assert written == [b"one\n", "zwölf\n".encode()]


@pytest.mark.parametrize("breaking", [b"id: 8\ndata: tw", b"", b"id: 8\ndata: two"])
def test_a_broken_stream_is_taken_up_at_the_byte_where_it_broke(breaking: bytes) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers["Last-Event-ID"])
        return _stream(_event("one\n", 4) + breaking if len(asked) == 1 else _event("two\n", 8) + END)

    written: list[bytes] = []
    with _server(answer) as server:
        follow_log(server, "r", written.append)
    assert written == [b"one\n", b"two\n"]
    assert asked == ["0", "4"]


def test_a_server_that_stays_away_is_given_up() -> None:
    calls: list[int] = []

    def refuse(request: httpx.Request) -> httpx.Response:
        calls.append(1)
        raise httpx.ConnectError("refused", request=request)

    with _server(refuse) as server, pytest.raises(ServerUnreachable, match="went away"):
        follow_log(server, "r", lambda _: None)
    assert len(calls) == 4


def test_a_connection_that_breaks_in_the_middle_is_taken_up() -> None:
    def breaking() -> Iterator[bytes]:
        yield _event("one\n", 4)
        raise httpx.ReadError("reset by peer")

    answers = [breaking(), iter([END])]
    written: list[bytes] = []
    with _server(lambda _: httpx.Response(200, content=answers.pop(0))) as server:
        follow_log(server, "r", written.append)
    assert written == [b"one\n"]


def test_a_log_is_read_chunk_by_chunk() -> None:
    log = b"abcdefgh"

    def answer(request: httpx.Request) -> httpx.Response:
        offset = int(request.url.params["offset"])
        chunk = log[offset : offset + 3]
        return httpx.Response(200, content=chunk, headers={"X-Minisched-Next-Offset": str(offset + len(chunk))})

    written: list[bytes] = []
    with _server(answer) as server:
        assert read_log(server, "r", written.append, offset=1) == len(log)
    assert b"".join(written) == b"bcdefgh"
