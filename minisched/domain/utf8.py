"""Bytes of a text that is still being written."""

from __future__ import annotations


def whole_characters(data: bytes, *, ended: bool) -> bytes:
    """Without the beginning of a character whose rest is still to come; as it is when nothing comes."""
    if ended:
        return data
    for length in range(1, min(3, len(data)) + 1):
        byte = data[-length]
        if byte & 0b1100_0000 != 0b1000_0000:  # not a continuation: a character begins here
            expected = 2 if byte >> 5 == 0b110 else 3 if byte >> 4 == 0b1110 else 4 if byte >> 3 == 0b11110 else 1
            return data[:-length] if expected > length else data
    return data
