"""Pages over a log that may still grow: an immutable byte grid, cut on UTF-8 boundaries (contract §1.14)."""

from __future__ import annotations

from minisched.domain.errors import InvalidInput
from minisched.domain.log_gap import gap_line
from minisched.ports import LogPage, RunLogs

PAGE_BYTES = 2_000_000
# A UTF-8 character has at most 3 continuation bytes after its first.
_LONGEST_TAIL = 3


def read_page(logs: RunLogs, run_id: str, task_id: str, after: int | None, *, page_bytes: int = PAGE_BYTES) -> LogPage:
    """Page `after` (0 is the first) of the run's log. Raises InvalidInput when there is no such page.

    A character belongs to the page in which it begins, so pages join without loss, and a full page never changes,
    until the middle of a long log is dropped: the page in which the gap begins has a line that says so, and leads to
    the page in which it ends.
    """
    size = logs.size(run_id)
    total = max(1, -(-size // page_bytes))
    index = after or 0
    if not 0 <= index < total:
        raise InvalidInput(f"After index {index} is out of bounds. Total pagination is {total} for Task {task_id}.")
    start, end = index * page_bytes, min((index + 1) * page_bytes, size)
    pieces, reached = [], start
    while reached < end:
        data = logs.read(run_id, offset=reached, limit=end - reached + _LONGEST_TAIL)
        gap = 0 if data else logs.gap(run_id, offset=reached)
        if not data and not gap:
            break
        pieces.append(_cut(data, reached, start, end, size) if data else _gap_text(logs, run_id, reached, gap))
        reached += gap or len(data)
    following = max(index + 1, reached // page_bytes)
    return LogPage(task_id=task_id, text="".join(pieces), total=total, after=following if following < total else None)


def _cut(data: bytes, offset: int, start: int, end: int, size: int) -> str:
    """The characters of these bytes that begin in the page from `start` to `end`."""
    first = _continuation_bytes(data) if offset == start > 0 else 0
    last = end - offset
    last += _continuation_bytes(data[last:]) if end < size else 0
    return data[first:last].decode("utf-8", errors="replace")


def _gap_text(logs: RunLogs, run_id: str, offset: int, gap: int) -> str:
    """Said once: where the gap begins."""
    goes_on = offset > 0 and logs.gap(run_id, offset=offset - 1) > 0
    return "" if goes_on else gap_line(gap).decode()


def _continuation_bytes(data: bytes) -> int:
    """How many of the first three bytes belong to a character that began earlier."""
    count = 0
    while count < min(_LONGEST_TAIL, len(data)) and data[count] & 0xC0 == 0x80:
        count += 1
    return count
