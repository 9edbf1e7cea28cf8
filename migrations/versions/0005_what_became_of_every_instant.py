"""What became of every instant: the schedules in force, one tick per decision, and when a scheduler was at work.

The tables begin empty: a server that starts on them begins to account for each deployment at that moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from minisched.store.migrations import refuse_downgrade

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


_LONG_TEXT = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_MYSQL: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}


def upgrade() -> None:
    # MySQL and MariaDB commit each statement by itself: an upgrade that was cut off goes on where it was.
    _create_schedules()
    _create_ticks()
    _create_watches()


def downgrade() -> None:
    refuse_downgrade(revision)


def _table(name: str, *parts: Any, **options: Any) -> None:
    if not sa.inspect(op.get_bind()).has_table(name):
        op.create_table(name, *parts, **options)


def _index(name: str, table: str, columns: list[str]) -> None:
    if name not in {index["name"] for index in sa.inspect(op.get_bind()).get_indexes(table)}:
        op.create_index(name, table, columns)


def _create_schedules() -> None:
    _table(
        "schedules",
        sa.Column("pipeline_id", sa.String(length=36), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=True),
        sa.Column("decided_until_ms", sa.BigInteger(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("timing", _LONG_TEXT, nullable=False),
        sa.CheckConstraint("until_ms IS NULL OR until_ms > since_ms", name=op.f("ck_schedules_ends_after_it_begins")),
        sa.CheckConstraint("decided_until_ms >= since_ms", name=op.f("ck_schedules_decided_in_force")),
        sa.PrimaryKeyConstraint("pipeline_id", "since_ms", name=op.f("pk_schedules")),
        **_MYSQL,
    )
    _index("ix_schedules_by_end", "schedules", ["until_ms", "pipeline_id"])


def _create_ticks() -> None:
    _table(
        "ticks",
        sa.Column("pipeline_id", sa.String(length=36), nullable=False),
        sa.Column("scheduled_for_ms", sa.BigInteger(), nullable=False),
        sa.Column("through_ms", sa.BigInteger(), nullable=False),
        sa.Column("instants", sa.Integer(), nullable=False),
        sa.Column("decision", sa.String(length=16), nullable=False),
        sa.Column("decided_ms", sa.BigInteger(), nullable=False),
        sa.Column("looked_ms", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=True),
        sa.Column("reason", sa.String(length=32), nullable=True),
        sa.Column("remark", _LONG_TEXT, nullable=True),
        sa.CheckConstraint(
            "decision IN ('fired', 'coalesced', 'skipped', 'paused', 'missed')", name=op.f("ck_ticks_decision")
        ),
        sa.CheckConstraint(
            "decision NOT IN ('fired', 'coalesced', 'skipped') OR run_id IS NOT NULL",
            name=op.f("ck_ticks_names_its_run"),
        ),
        sa.PrimaryKeyConstraint("pipeline_id", "scheduled_for_ms", name=op.f("pk_ticks")),
        **_MYSQL,
    )
    _index("ix_ticks_by_age", "ticks", ["through_ms"])


def _create_watches() -> None:
    _table(
        "watches",
        sa.Column("id", _SERIAL, autoincrement=True, nullable=False),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_watches")),
        **_MYSQL,
    )
    _index("ix_watches_by_time", "watches", ["from_ms", "until_ms"])
