"""Instants: aware UTC datetimes inside, epoch milliseconds on every wire and in every table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def require_utc(moment: datetime) -> datetime:
    """The same instant in UTC. Raises ValueError for a naive datetime: its instant would be a guess."""
    if moment.tzinfo is None:
        raise ValueError(f"naive datetime {moment.isoformat()}: an instant needs a time zone")
    return moment.astimezone(UTC)


def to_ms(moment: datetime) -> int:
    """Epoch milliseconds, rounded down, of an aware datetime."""
    return (require_utc(moment) - _EPOCH) // _MILLISECOND


def from_ms(milliseconds: int) -> datetime:
    """The UTC datetime of epoch milliseconds."""
    return _EPOCH + milliseconds * _MILLISECOND
