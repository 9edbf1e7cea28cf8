"""What stands in a log for the part of it that is not kept."""

from __future__ import annotations


def gap_line(dropped: int) -> bytes:
    """A line of its own between the beginning and the end, both of which may be cut anywhere."""
    return f"\n… {dropped} bytes dropped …\n".encode()
