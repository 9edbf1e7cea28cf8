"""The few Linux calls that the standard library lacks, and closing what a fork inherited."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36

_FALLOC_KEEP_SIZE = 1
_FALLOC_PUNCH_HOLE = 2

_MADV_DONTNEED = 4
_MADV_COLLAPSE = 25
_HUGE_PAGE = 2 * 1024 * 1024

_libc = ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, "prctl({}): {}".format(option, os.strerror(code)))


def die_with_parent(parent: int) -> None:
    """SIGKILL for this process when `parent` dies; leaves at once when it is dead already.

    Bound to the parent's *thread* that forked, so fork from a main thread only.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def outlive_parent() -> None:
    """Undo `die_with_parent`."""
    _prctl(_PR_SET_PDEATHSIG, 0)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def hide_memory() -> None:
    """No core file and no ptrace by others of the same user: the memory holds secrets."""
    _prctl(_PR_SET_DUMPABLE, 0)


def name_process(name: str) -> None:
    """What `ps` and `top` show, at most 15 bytes."""
    buffer = ctypes.create_string_buffer(name.encode()[:15])
    _libc.prctl(_PR_SET_NAME, buffer, 0, 0, 0)


def punch_hole(fd: int, start: int, length: int) -> None:
    """Give the blocks of this part of a file back to the disk; it reads as zeros, and nothing moves. Raises OSError."""
    call = getattr(_libc, "fallocate64", _libc.fallocate)
    if call(fd, _FALLOC_PUNCH_HOLE | _FALLOC_KEEP_SIZE, ctypes.c_int64(start), ctypes.c_int64(length)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, "fallocate: {}".format(os.strerror(code)))


class ShownCommand:
    """The command line of this process as everybody may read it, forks of forks and strangers included.

    Unlike the environment it can be changed later and be read by other users, so it tells what became of a fork. The
    first argument stays, because it says which interpreter this is.
    """

    def __init__(self) -> None:
        with open("/proc/self/stat", "rb") as file:
            stat = file.read()
        with open("/proc/self/cmdline", "rb") as file:
            self._text = file.read()
        start = int(stat[stat.rindex(b")") + 2 :].split()[45])  # field 48, arg_start
        self._room_at = self._text.find(b"\0") + 1
        self._address = start + self._room_at

    def change(self, text: str) -> None:
        """Show this after the first argument, up to the end of the argument in which the text ends."""
        data = text.encode()
        end = self._text.find(b"\0", self._room_at + len(data))
        if self._room_at > 0 and end > 0:
            ctypes.memmove(self._address, data.ljust(end - self._room_at), end - self._room_at)


def prefer_to_be_killed(score: int) -> None:
    """Raise the score by which the kernel chooses whom to kill when memory runs out (0..1000).

    The file belongs to root while the process hides its memory, hence the two steps.
    """
    _prctl(_PR_SET_DUMPABLE, 1)
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write(str(score))
    except OSError:
        pass  # not allowed in some containers; only a preference
    finally:
        hide_memory()


def close_all_but(keep: set[int]) -> None:
    """Close every descriptor that is not in `keep`: a fork inherits all, close-on-exec or not."""
    for fd in [int(name) for name in os.listdir("/proc/self/fd")]:
        if fd not in keep:
            with contextlib.suppress(OSError):  # the listing's own descriptor is closed already
                os.close(fd)


def use_huge_pages() -> int:
    """Gather this process's private memory into huge pages; returns how many there are then.

    A fork copies one entry per page: with 300 MB of imported modules that is the better part of its price, and huge
    pages make it three times cheaper. Linux before 6.1 cannot do it, which changes nothing else.
    """
    made = 0
    for start, end, mode, name in _mappings():
        if mode == "rw-p" and name in ("", "[heap]"):
            first = -(-start // _HUGE_PAGE) * _HUGE_PAGE
            for address in range(first, end - _HUGE_PAGE + 1, _HUGE_PAGE):
                made += _libc.madvise(ctypes.c_void_p(address), ctypes.c_size_t(_HUGE_PAGE), _MADV_COLLAPSE) == 0
    return made


def let_go_of_code() -> None:
    """Unmap the code that only the imports have run. It stays in the page cache, whence a fork maps what it runs, as
    it does anyway: the mapped code of its parent is not its own."""
    for start, end, mode, name in _mappings():
        if mode == "r-xp" and name.startswith("/"):  # never written to, so nothing can be lost
            _libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_DONTNEED)


def _mappings() -> list[tuple[int, int, str, str]]:
    """Start, end, mode (such as rw-p) and name of each part of this process's memory; the name of most is empty."""
    found = []
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        for line in file.readlines():
            fields = line.split(None, 5)
            start, end = (int(address, 16) for address in fields[0].split("-"))
            found.append((start, end, fields[1], fields[5].strip() if len(fields) > 5 else ""))
    return found


def single_threaded() -> bool:
    """True when a fork now copies the whole process."""
    return len(os.listdir("/proc/self/task")) == 1
