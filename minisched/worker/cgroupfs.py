"""The kernel's files of control groups (cgroup v2): what is written to one is an order, an OSError its refusal."""

from __future__ import annotations

import os

PROCESSES = "cgroup.procs"
_SIZE = 64 * 1024


def read(directory: str, name: str) -> str:
    """The whole file, "" at its end. Raises OSError."""
    fd = os.open(os.path.join(directory, name), os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts: list[bytes] = []
        while True:
            part = os.read(fd, _SIZE)
            if not part:
                return b"".join(parts).decode()
            parts.append(part)
    finally:
        os.close(fd)


def write(directory: str, name: str, text: str) -> None:
    """Raises OSError; a file that the kernel does not have is never made."""
    fd = os.open(os.path.join(directory, name), os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def has(directory: str, name: str) -> bool:
    return os.path.exists(os.path.join(directory, name))


def make(directory: str) -> None:
    """A new group; the kernel puts its files into it. Raises OSError."""
    os.mkdir(directory, 0o755)


def remove(directory: str) -> None:
    """Of a group without processes and groups below; its files go with it. Raises OSError."""
    os.rmdir(directory)


def processes(directory: str) -> set[int]:
    """In this group, not in those below; 0 stands for those that this process cannot see. Raises OSError."""
    return {int(pid) for pid in read(directory, PROCESSES).split()}


def numbers(directory: str, name: str) -> dict[str, int]:
    """Lines of a name and a number; empty when there is no such file."""
    try:
        lines = [line.split() for line in read(directory, name).splitlines()]
    except OSError:
        return {}
    return {words[0]: int(words[1]) for words in lines if len(words) == 2}
