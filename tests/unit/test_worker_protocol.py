"""Messages and records: what is read is whole, or is not there."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from minisched.worker import protocol


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


def test_a_message_arrives_with_its_descriptor(pair: tuple[socket.socket, socket.socket]) -> None:
    read_end, write_end = os.pipe()
    protocol.send(pair[0], {"op": "x"}, (write_end,))
    os.close(write_end)

    message, fds = protocol.receive(pair[1])

    assert message == {"op": "x"}
    assert not os.get_inheritable(fds[0])
    os.write(fds[0], b"y")
    assert os.read(read_end, 1) == b"y"
    for fd in (*fds, read_end):
        os.close(fd)


@pytest.mark.parametrize("data", [b"{", b"[1]", b"\xff"])
def test_what_is_no_message_is_an_error(pair: tuple[socket.socket, socket.socket], data: bytes) -> None:
    pair[0].send(data)

    with pytest.raises(protocol.ProtocolError):
        protocol.receive(pair[1])


def test_a_message_that_is_too_large_is_not_sent(pair: tuple[socket.socket, socket.socket]) -> None:
    with pytest.raises(protocol.ProtocolError):
        protocol.send(pair[0], {"x": "y" * protocol.MAX_MESSAGE_BYTES})


def test_a_closed_peer_is_the_end(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[0].close()

    with pytest.raises(EOFError):
        protocol.receive(pair[1])


@pytest.mark.parametrize("durable", [True, False])
def test_a_record_is_private_and_whole(tmp_path: Path, durable: bool) -> None:
    protocol.write_record(str(tmp_path), "r.json", {"a": 1}, durable=durable)

    assert protocol.read_record(str(tmp_path), "r.json") == {"a": 1}
    assert (tmp_path / "r.json").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]


def test_short_writes_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:3]))

    protocol.write_record(str(tmp_path), "r.json", {"a": "long enough"})

    assert protocol.read_record(str(tmp_path), "r.json") == {"a": "long enough"}


def test_a_full_disk_leaves_the_old_record_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    protocol.write_record(str(tmp_path), "r.json", {"a": 1})

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        protocol.write_record(str(tmp_path), "r.json", {"a": 2})

    assert protocol.read_record(str(tmp_path), "r.json") == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]


@pytest.mark.parametrize("content", [b"", b'{"a": ', b"[]", b"\xff"])
def test_an_unreadable_record_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "r.json").write_bytes(content)

    assert protocol.read_record(str(tmp_path), "r.json") is None
    assert protocol.read_record(str(tmp_path), "absent.json") is None


def test_a_process_is_told_from_a_later_one() -> None:
    identity = protocol.identity(os.getpid())

    assert identity["pid"] == os.getpid()
    assert identity["start_ticks"] == protocol.start_ticks(os.getpid())
    assert len(identity["boot_id"]) == 36
    assert protocol.start_ticks(2**22 + 1) is None
