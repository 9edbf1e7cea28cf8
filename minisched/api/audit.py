"""Who changed what, when, and from where."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter, SkipValidation

from minisched.api.access import CHANGE
from minisched.api.openapi import operation
from minisched.api.own_answers import AuditAnswer
from minisched.api.representation import without_nulls
from minisched.domain.instant import to_ms
from minisched.domain.pipeline import Document
from minisched.ports import AuditEntry, AuditTrail

_LARGEST_ID = 2**63 - 1


@get(
    "/audit",
    sync_to_thread=True,
    summary="List what was changed by whom",
    opt=CHANGE,
    operation_class=operation({200: AuditAnswer}),
)
def list_audit(
    audit_trail: NamedDependency[SkipValidation[AuditTrail]],
    by: Annotated[str | None, QueryParameter(name="user", description="Only what this user did.")] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 50,
    before: Annotated[
        int | None, QueryParameter(ge=0, le=_LARGEST_ID, description="`next` of the page before.")
    ] = None,
) -> Response[Document]:
    """Newest first; `paging.next` is the `before` of the next page."""
    found = audit_trail.entries(limit=limit, before=before, user=by)
    following = found[-1].id if len(found) == limit else None
    return Response({"data": [_shown(entry) for entry in found], "paging": without_nulls(next=following)})


def _shown(entry: AuditEntry) -> Document:
    return without_nulls(
        id=entry.id,
        at=to_ms(entry.at),
        user=entry.user,
        role=entry.role,
        via=entry.via,
        operation=entry.operation,
        request=entry.request,
        peer=entry.peer,
        touched=entry.touched,
    )
