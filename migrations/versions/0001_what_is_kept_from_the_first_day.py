"""What is kept from the first day: pipelines, their versions and statuses, deployments, runs and the outbox."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from minisched.store.migrations import refuse_downgrade

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


_LONG_TEXT = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_SORT_KEY = sa.String(512).with_variant(sa.String(512, collation="C"), "postgresql")
_MYSQL: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}


def upgrade() -> None:
    _create_pipelines()
    _create_pipeline_versions()
    _create_pipeline_statuses()
    _create_deployments()
    _create_runs()
    _create_outbox()
    _create_locks()


def downgrade() -> None:
    refuse_downgrade(revision)


def _create_pipelines() -> None:
    op.create_table(
        "pipelines",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name_key", _SORT_KEY, nullable=False),
        sa.Column("display_key", _SORT_KEY, nullable=False),
        sa.Column("fqn_key", _SORT_KEY, nullable=False),
        sa.Column("fqn_hash", sa.String(length=64), nullable=False),
        sa.Column("service_fqn", _LONG_TEXT, nullable=False),
        sa.Column("service_type", sa.String(length=64), nullable=False),
        sa.Column("pipeline_type", sa.String(length=64), nullable=False),
        sa.Column("application_type", sa.String(length=256), nullable=True),
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("version", sa.String(length=32), nullable=False),
        sa.Column("updated_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("fqn", _LONG_TEXT, nullable=False),
        sa.Column("document", _LONG_TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pipelines")),
        sa.UniqueConstraint("fqn_hash", name=op.f("uq_pipelines_fqn_hash")),
        **_MYSQL,
    )
    op.create_index("ix_pipelines_by_display_name", "pipelines", ["display_key", "id", "deleted"])
    op.create_index("ix_pipelines_by_fqn", "pipelines", ["fqn_key", "deleted"])
    op.create_index("ix_pipelines_by_name", "pipelines", ["name_key", "id", "deleted"])


def _create_pipeline_versions() -> None:
    op.create_table(
        "pipeline_versions",
        sa.Column("id", _SERIAL, autoincrement=True, nullable=False),
        sa.Column("pipeline_id", sa.String(length=36), nullable=False),
        sa.Column("version", sa.String(length=32), nullable=False),
        sa.Column("document", _LONG_TEXT, nullable=False),
        sa.ForeignKeyConstraint(
            ["pipeline_id"],
            ["pipelines.id"],
            name=op.f("fk_pipeline_versions_pipeline_id_pipelines"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pipeline_versions")),
        **_MYSQL,
    )
    op.create_index("ix_pipeline_versions_by_pipeline", "pipeline_versions", ["pipeline_id", "id"])


def _create_pipeline_statuses() -> None:
    op.create_table(
        "pipeline_statuses",
        sa.Column("fqn_hash", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("timestamp_ms", sa.BigInteger(), nullable=False),
        sa.Column("fqn", _LONG_TEXT, nullable=False),
        sa.Column("document", _LONG_TEXT, nullable=False),
        sa.PrimaryKeyConstraint("fqn_hash", "run_id", name=op.f("pk_pipeline_statuses")),
        **_MYSQL,
    )
    op.create_index("ix_pipeline_statuses_by_time", "pipeline_statuses", ["fqn_hash", "timestamp_ms", "run_id"])


def _create_deployments() -> None:
    op.create_table(
        "deployments",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("clean_name_hash", sa.String(length=64), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("deployed_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("pipeline_type", sa.String(length=64), nullable=False),
        sa.Column("name", _LONG_TEXT, nullable=False),
        sa.Column("clean_name", _LONG_TEXT, nullable=False),
        sa.Column("fqn", _LONG_TEXT, nullable=False),
        sa.Column("document", _LONG_TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deployments")),
        sa.UniqueConstraint("clean_name_hash", name=op.f("uq_deployments_clean_name_hash")),
        **_MYSQL,
    )


def _create_runs() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("pipeline_id", sa.String(length=36), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("enqueued_ms", sa.BigInteger(), nullable=False),
        sa.Column("scheduled_for_ms", sa.BigInteger(), nullable=True),
        sa.Column("started_ms", sa.BigInteger(), nullable=True),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.Column("max_active_runs", sa.Integer(), nullable=False),
        sa.Column("stop_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("timeout_s", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.String(length=32), nullable=True),
        sa.Column("retry_of", sa.String(length=36), nullable=True),
        sa.Column("idempotency_hash", sa.String(length=64), nullable=True),
        sa.Column("pipeline_type", sa.String(length=64), nullable=False),
        sa.Column("runtime", sa.String(length=255), nullable=True),
        sa.Column("process_pid", sa.BigInteger(), nullable=True),
        sa.Column("process_start_ticks", sa.BigInteger(), nullable=True),
        sa.Column("process_boot_id", sa.String(length=64), nullable=True),
        sa.Column("pipeline_fqn", _LONG_TEXT, nullable=False),
        sa.Column("pipeline_name", _LONG_TEXT, nullable=False),
        sa.Column("service_fqn", _LONG_TEXT, nullable=False),
        sa.Column("requested_by", _LONG_TEXT, nullable=False),
        sa.Column("message", _LONG_TEXT, nullable=True),
        sa.Column("stop_by", _LONG_TEXT, nullable=True),
        sa.Column("stop_why", _LONG_TEXT, nullable=True),
        sa.Column("overrides", _LONG_TEXT, nullable=False),
        sa.Column("steps", _LONG_TEXT, nullable=False),
        sa.Column("evidence", _LONG_TEXT, nullable=False),
        sa.CheckConstraint(
            "(state IN ('queued', 'running')) = (ended_ms IS NULL)", name=op.f("ck_runs_terminal_has_an_end")
        ),
        sa.CheckConstraint("state <> 'running' OR started_ms IS NOT NULL", name=op.f("ck_runs_running_has_a_start")),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'success', 'partialSuccess', 'failed', 'stopped')",
            name=op.f("ck_runs_state"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        sa.UniqueConstraint("idempotency_hash", name=op.f("uq_runs_idempotency_hash")),
        sa.UniqueConstraint("pipeline_id", "scheduled_for_ms", name=op.f("uq_runs_pipeline_id_scheduled_for_ms")),
        **_MYSQL,
    )
    op.create_index("ix_runs_by_end", "runs", ["ended_ms"])
    op.create_index("ix_runs_by_time", "runs", ["enqueued_ms", "id"])
    op.create_index(
        "ix_runs_claim",
        "runs",
        ["state", "priority", "enqueued_ms", "id", "pipeline_id", "max_active_runs", "stop_at_ms", "runtime"],
    )
    op.create_index("ix_runs_of_pipeline", "runs", ["pipeline_id", "enqueued_ms", "id"])


def _create_outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", _SERIAL, autoincrement=True, nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("next_ms", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("dead", sa.Boolean(), nullable=False),
        sa.Column("last_error", _LONG_TEXT, nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_outbox_run_id_runs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sqlite_autoincrement=True,
        **_MYSQL,
    )
    op.create_index("ix_outbox_due", "outbox", ["dead", "next_ms"])
    op.create_index("ix_outbox_of_run", "outbox", ["run_id", "dead", "id"])


def _create_locks() -> None:
    locks = op.create_table(
        "locks",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_locks")),
        **_MYSQL,
    )
    op.bulk_insert(locks, [{"name": "claim"}, {"name": "deploy"}])
