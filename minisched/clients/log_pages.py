"""Pages over a log that may still grow: an immutable byte grid, cut on UTF-8 boundaries (contract §1.14)."""

from __future__ import annotations

from minisched.domain.errors import InvalidInput
from minisched.ports import LogPage, RunLogs

PAGE_BYTES = 2_000_000
# A UTF-8 character has at most 3 continuation bytes after its first.
_LONGEST_TAIL = 3


def read_page(logs: RunLogs, run_id: str, task_id: str, after: int | None, *, page_bytes: int = PAGE_BYTES) -> LogPage:
    """Page `after` (0 is the first) of the run's log. Raises InvalidInput when there is no such page.

    A character belongs to the page in which it begins, so pages join without loss, and a full page never changes.
    """
    size = logs.size(run_id)
    total = max(1, -(-size // page_bytes))
    index = after or 0
    if not 0 <= index < total:
        raise InvalidInput(f"After index {index} is out of bounds. Total pagination is {total} for Task {task_id}.")
    start, end = index * page_bytes, min((index + 1) * page_bytes, size)
    data = logs.read(run_id, offset=start, limit=end - start + _LONGEST_TAIL)
    first = 0 if index == 0 else _continuation_bytes(data)
    last = end - start
    last += _continuation_bytes(data[last:]) if end < size else 0
    text = data[first:last].decode("utf-8", errors="replace")
    return LogPage(task_id=task_id, text=text, total=total, after=index + 1 if index + 1 < total else None)


def _continuation_bytes(data: bytes) -> int:
    """How many of the first three bytes belong to a character that began earlier."""
    count = 0
    while count < min(_LONGEST_TAIL, len(data)) and data[count] & 0xC0 == 0x80:
        count += 1
    return count
