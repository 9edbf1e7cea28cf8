"""Where a pipeline runs, on a node that hands pipelines to more than one orchestrator.

The table begins empty: what is deployed on this machine is here until it is said to be elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from minisched.store.migrations import refuse_downgrade

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


_LONG_TEXT = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
_MYSQL: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}


def upgrade() -> None:
    # One statement: an upgrade that was cut off either made the table or did not.
    if sa.inspect(op.get_bind()).has_table("placements"):
        return
    op.create_table(
        "placements",
        sa.Column("pipeline_id", sa.String(length=36), nullable=False),
        sa.Column("clean_name_hash", sa.String(length=64), nullable=False),
        sa.Column("client", sa.String(length=16), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.Column("came_from", sa.String(length=16), nullable=True),
        sa.Column("also_in", sa.String(length=16), nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("pipeline_type", sa.String(length=64), nullable=False),
        sa.Column("name", _LONG_TEXT, nullable=False),
        sa.Column("fqn", _LONG_TEXT, nullable=False),
        sa.Column("service_fqn", _LONG_TEXT, nullable=False),
        sa.Column("document", _LONG_TEXT, nullable=True),
        sa.CheckConstraint("also_in IS NULL OR also_in <> client", name=op.f("ck_placements_moves_elsewhere")),
        sa.PrimaryKeyConstraint("pipeline_id", name=op.f("pk_placements")),
        sa.UniqueConstraint("clean_name_hash", name=op.f("uq_placements_clean_name_hash")),
        **_MYSQL,
    )


def downgrade() -> None:
    refuse_downgrade(revision)
