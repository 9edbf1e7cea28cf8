"""Retries of runs, the instant before which a run does not start, and what limits of services compare."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import sqlalchemy as sa
from alembic import op

from minisched.store.migrations import refuse_downgrade

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_CLAIM = "ix_runs_claim"
_BEFORE = ["state", "priority", "enqueued_ms", "id", "pipeline_id", "max_active_runs", "stop_at_ms", "runtime"]
_AFTER = [*_BEFORE, "service_hash", "not_before_ms"]


def upgrade() -> None:
    # MySQL and MariaDB commit each statement by itself: an upgrade that was cut off goes on where it was.
    present = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("runs")}
    for column in (
        sa.Column("not_before_ms", sa.BigInteger()),
        sa.Column("retries", sa.Integer()),
        sa.Column("retry_delay_s", sa.BigInteger()),
        sa.Column("service_hash", sa.String(64)),
    ):
        if column.name not in present:
            op.add_column("runs", column)
    _fill_service_hashes()
    _widen_index()


def downgrade() -> None:
    refuse_downgrade(revision)


def _fill_service_hashes() -> None:
    """Only runs that have not ended are ever counted."""
    runs = sa.table("runs", sa.column("service_fqn"), sa.column("service_hash"), sa.column("state"))
    active = runs.c.state.in_(["queued", "running"])
    connection = op.get_bind()
    for fqn in set(connection.execute(sa.select(runs.c.service_fqn).where(active)).scalars()):
        if fqn:
            digest = sha256(fqn.encode("utf-8", "surrogatepass")).hexdigest()
            connection.execute(sa.update(runs).where(active, runs.c.service_fqn == fqn).values(service_hash=digest))


def _widen_index() -> None:
    indexes = {index["name"]: index["column_names"] for index in sa.inspect(op.get_bind()).get_indexes("runs")}
    if indexes.get(_CLAIM) == _AFTER:
        return
    if _CLAIM in indexes:
        op.drop_index(_CLAIM, "runs")
    op.create_index(_CLAIM, "runs", _AFTER)
