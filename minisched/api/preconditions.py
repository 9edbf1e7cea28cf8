"""Requests that hold only for one state of an entity: If-Match and If-None-Match (contract §3.16, RFC 9110 §13)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from litestar.params import HeaderParameter

from minisched.api.representation import EntityView
from minisched.domain.errors import PreconditionFailed
from minisched.domain.pipeline import Pipeline

IfMatch = Annotated[
    str | None,
    HeaderParameter(name="If-Match", description='ETags, or `W/"<version>"`: do it only while the entity is that one.'),
]
IfNoneMatch = Annotated[
    str | None,
    HeaderParameter(name="If-None-Match", description="ETags of what the caller has: 304 while the entity is that."),
]

Require = Callable[[Pipeline | None], None]


def required(if_match: str | None, view: EntityView) -> Require:
    """Raises PreconditionFailed for an entity that is not, or not any more, what the header says."""

    def check(pipeline: Pipeline | None) -> None:
        if if_match is None:
            return
        if pipeline is None:
            raise PreconditionFailed("There is no such entity yet.")
        etag = view.etag(pipeline)
        if not _named(if_match) & {"*", etag, f'W/"{pipeline.version}"'}:
            raise PreconditionFailed(f"The entity has been modified. Current ETag: {etag}")

    return check


def is_known(if_none_match: str | None, etag: str) -> bool:
    """Whether the caller has this state already. A weak ETag is as good as a strong one here."""
    named = {tag.removeprefix("W/") for tag in _named(if_none_match or "")}
    return bool(named & {"*", etag})


def _named(header: str) -> set[str]:
    """The ETags of a header; ours hold no comma."""
    return {tag.strip() for tag in header.split(",")}
