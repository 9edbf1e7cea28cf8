"""The launcher's listening socket, and who is at the other end of a connection."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from typing import Any


@contextlib.contextmanager
def listening(path: str) -> Any:
    """A listening socket at `path`, there only once it listens, 0600, removed at the end.

    Bound through /proc/self/fd because a socket's name is limited to 108 bytes.
    """
    directory, name = os.path.split(path)
    directory_fd = os.open(directory or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    draft = ".{}".format(os.getpid())
    listener.bind("/proc/self/fd/{}/{}".format(directory_fd, draft))
    os.chmod(draft, 0o600, dir_fd=directory_fd)
    listener.listen(16)
    listener.setblocking(False)
    os.rename(draft, name, src_dir_fd=directory_fd, dst_dir_fd=directory_fd)
    ours = os.stat(name, dir_fd=directory_fd).st_ino
    try:
        yield listener
    finally:
        listener.close()
        with contextlib.suppress(OSError):
            if os.stat(name, dir_fd=directory_fd).st_ino == ours:
                os.unlink(name, dir_fd=directory_fd)
        os.close(directory_fd)


def uid_of_peer(connection: socket.socket) -> int:
    """The user whose process has connected; the kernel says so, not the process."""
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return int(uid)
