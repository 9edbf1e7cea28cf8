"""Which runtime serves a deployment, and what its models said about it."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from minisched.store.migrations import refuse_downgrade

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


_LONG_TEXT = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")


def upgrade() -> None:
    # MySQL and MariaDB commit each column by itself: an upgrade that was cut off goes on where it was.
    present = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("deployments")}
    for column in (
        sa.Column("runtime", sa.String(255)),
        sa.Column("judged_by", sa.String(64)),
        sa.Column("left_out", _LONG_TEXT),
    ):
        if column.name not in present:
            op.add_column("deployments", column)


def downgrade() -> None:
    refuse_downgrade(revision)
