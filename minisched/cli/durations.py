"""Durations on the command line: `90m`, `12h`, `7d`, `2w`."""

from __future__ import annotations

import re
from datetime import timedelta

import click

_DURATION = re.compile(r"([0-9]{1,6})\s*(s|m|h|d|w)", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def duration(value: str) -> timedelta:
    """A positive duration, as the `type` of an option."""
    found = _DURATION.fullmatch(value.strip().lower())
    if found is None or int(found[1]) == 0:
        raise click.BadParameter(f"{value!r} is no duration: write a number and s, m, h, d or w, such as 7d.")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})
