"""Pages over a growing log: an immutable byte grid that never cuts a character."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minisched.clients.log_pages import read_page
from minisched.domain.errors import InvalidInput


class BytesAsLog:
    """RunLogs over one byte string."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def size(self, run_id: str) -> int:
        return len(self.data)

    def read(self, run_id: str, *, offset: int, limit: int) -> bytes:
        return self.data[offset : offset + limit]

    def gap(self, run_id: str, *, offset: int) -> int:
        return 0


def all_pages(log: BytesAsLog, page_bytes: int) -> list[str]:
    pages, after = [], 0
    while True:
        page = read_page(log, "r", "ingestion_task", after, page_bytes=page_bytes)
        pages.append(page.text)
        if page.after is None:
            assert len(pages) == page.total
            return pages
        after = page.after


@given(text=st.text(alphabet="aé名😀\n", max_size=200), page_bytes=st.integers(4, 40))
def test_pages_join_to_the_whole_log(text: str, page_bytes: int) -> None:
    assert "".join(all_pages(BytesAsLog(text.encode()), page_bytes)) == text


@given(text=st.text(alphabet="aé名😀", min_size=1, max_size=100), page_bytes=st.integers(4, 20))
def test_a_page_with_a_successor_never_changes_as_the_log_grows(text: str, page_bytes: int) -> None:
    # Grown by whole characters, as a writer of lines does; the last page is the one that may change.
    before = all_pages(BytesAsLog(text.encode()), page_bytes)
    after = all_pages(BytesAsLog((text + "名名名名").encode()), page_bytes)
    assert after[: len(before) - 1] == before[:-1]


def test_the_first_page_of_an_empty_log_is_empty_and_the_last() -> None:
    page = read_page(BytesAsLog(b""), "r", "ingestion_task", None)
    assert (page.text, page.total, page.after) == ("", 1, None)


def test_three_pages_are_numbered_as_the_plugin_numbers_them() -> None:
    log = BytesAsLog(b"a" * 10)
    assert [read_page(log, "r", "t", n, page_bytes=4).after for n in (0, 1, 2)] == [1, 2, None]
    with pytest.raises(InvalidInput, match=r"After index 3 is out of bounds\. Total pagination is 3"):
        read_page(log, "r", "t", 3, page_bytes=4)


def test_bytes_that_are_not_text_are_shown_and_do_not_fail() -> None:
    assert "\ufffd" in read_page(BytesAsLog(b"ok \xff\xfe\x80\x80\x80\x80 ok"), "r", "t", None).text


class LogWithGap(BytesAsLog):
    """Bytes of which those from `begin` to `end` are not kept."""

    def __init__(self, data: bytes, begin: int, end: int) -> None:
        super().__init__(data)
        self.begin, self.end = begin, end

    def read(self, run_id: str, *, offset: int, limit: int) -> bytes:
        if self.begin <= offset < self.end:
            return b""
        until = offset + limit if offset >= self.end else min(offset + limit, self.begin)
        return self.data[offset:until]

    def gap(self, run_id: str, *, offset: int) -> int:
        return self.end - offset if self.begin <= offset < self.end else 0


@given(
    size=st.integers(1, 120), page_bytes=st.integers(4, 30), ends=st.tuples(st.integers(0, 120), st.integers(0, 120))
)
def test_pages_join_to_what_is_kept_with_one_line_for_the_gap(
    size: int, page_bytes: int, ends: tuple[int, int]
) -> None:
    begin, end = sorted(min(edge, size) for edge in ends)
    data = bytes(ord("a") + i % 26 for i in range(size))
    log = LogWithGap(data, begin, end)
    pages: list[str] = []
    after: int | None = 0
    while after is not None:
        page = read_page(log, "r", "ingestion_task", after, page_bytes=page_bytes)
        pages.append(page.text)
        assert page.after is None or page.after > after
        after = page.after
    said = f"\n… {end - begin} bytes dropped …\n" if end > begin else ""
    assert "".join(pages) == data[:begin].decode() + said + data[end:].decode()
