"""The tables, as the newest migration leaves them; `migrations/` gets a database there, a test compares the two.

Instants are epoch milliseconds in BIGINTs: no database agrees with another on what a timestamp is. Documents are JSON
text with their secrets sealed; columns beside them are extracted for filters and never read back. Text that has to be
unique at any length is unique by its SHA-256, because an index of MySQL ends at 768 characters.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.mysql import LONGTEXT

NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

metadata = MetaData(naming_convention=NAMING_CONVENTION)
sandbox_metadata = MetaData(naming_convention=NAMING_CONVENTION)

# What is sorted or compared by range is cut at this length, so that it fits into an index everywhere.
KEY_LENGTH = 512
# The longest name of a user or a token.
NAME_LENGTH = 128

_LongText = Text().with_variant(LONGTEXT(), "mysql", "mariadb")
_Serial = BigInteger().with_variant(Integer(), "sqlite")
_Id = String(36)
_Hash = String(64)
# Every database shall sort as SQLite does: by code point.
_SortKey = String(KEY_LENGTH).with_variant(String(KEY_LENGTH, collation="C"), "postgresql")

# Names and FQNs differ by case; utf8mb4_bin is the collation that both MySQL and MariaDB have for that.
_MYSQL: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}

pipelines = Table(
    "pipelines",
    metadata,
    Column("id", _Id, nullable=False),
    Column("name_key", _SortKey, nullable=False),
    Column("display_key", _SortKey, nullable=False),
    Column("fqn_key", _SortKey, nullable=False),
    Column("fqn_hash", _Hash, nullable=False),
    Column("service_fqn", _LongText, nullable=False),
    Column("service_type", String(64), nullable=False),
    Column("pipeline_type", String(64), nullable=False),
    Column("application_type", String(256)),
    Column("provider", String(64), nullable=False),
    Column("deleted", Boolean, nullable=False),
    Column("version", String(32), nullable=False),
    Column("updated_at_ms", BigInteger, nullable=False),
    Column("fqn", _LongText, nullable=False),
    Column("document", _LongText, nullable=False),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("fqn_hash"),
    Index("ix_pipelines_by_name", "name_key", "id", "deleted"),
    Index("ix_pipelines_by_display_name", "display_key", "id", "deleted"),
    Index("ix_pipelines_by_fqn", "fqn_key", "deleted"),
    **_MYSQL,
)

pipeline_versions = Table(
    "pipeline_versions",
    metadata,
    Column("id", _Serial, autoincrement=True, nullable=False),
    Column("pipeline_id", _Id, ForeignKey("pipelines.id", ondelete="CASCADE"), nullable=False),
    Column("version", String(32), nullable=False),
    Column("document", _LongText, nullable=False),
    PrimaryKeyConstraint("id"),
    Index("ix_pipeline_versions_by_pipeline", "pipeline_id", "id"),
    **_MYSQL,
)

pipeline_statuses = Table(
    "pipeline_statuses",
    metadata,
    Column("fqn_hash", _Hash, nullable=False),
    Column("run_id", String(64), nullable=False),
    Column("timestamp_ms", BigInteger, nullable=False),
    Column("fqn", _LongText, nullable=False),
    Column("document", _LongText, nullable=False),
    PrimaryKeyConstraint("fqn_hash", "run_id"),
    Index("ix_pipeline_statuses_by_time", "fqn_hash", "timestamp_ms", "run_id"),
    **_MYSQL,
)

deployments = Table(
    "deployments",
    metadata,
    Column("id", _Id, nullable=False),
    Column("clean_name_hash", _Hash, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("deployed_at_ms", BigInteger, nullable=False),
    Column("pipeline_type", String(64), nullable=False),
    Column("name", _LongText, nullable=False),
    Column("clean_name", _LongText, nullable=False),
    Column("fqn", _LongText, nullable=False),
    Column("document", _LongText, nullable=False),
    Column("runtime", String(255)),
    Column("judged_by", String(64)),
    Column("left_out", _LongText),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("clean_name_hash"),
    **_MYSQL,
)

# Which orchestrator each pipeline was handed to, on a node with several; `document` is the one that another one than
# this machine was handed. No foreign key: an OpenMetadata server may own the pipeline.
placements = Table(
    "placements",
    metadata,
    Column("pipeline_id", _Id, nullable=False),
    Column("clean_name_hash", _Hash, nullable=False),
    Column("client", String(16), nullable=False),
    Column("since_ms", BigInteger, nullable=False),
    Column("came_from", String(16)),
    Column("also_in", String(16)),
    Column("enabled", Boolean, nullable=False),
    Column("pipeline_type", String(64), nullable=False),
    Column("name", _LongText, nullable=False),
    Column("fqn", _LongText, nullable=False),
    Column("service_fqn", _LongText, nullable=False),
    Column("document", _LongText),
    PrimaryKeyConstraint("pipeline_id"),
    UniqueConstraint("clean_name_hash"),
    CheckConstraint("also_in IS NULL OR also_in <> client", name="moves_elsewhere"),
    **_MYSQL,
)

runs = Table(
    "runs",
    metadata,
    Column("id", _Id, nullable=False),
    Column("pipeline_id", _Id, nullable=False),
    Column("state", String(16), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("enqueued_ms", BigInteger, nullable=False),
    Column("scheduled_for_ms", BigInteger),
    Column("started_ms", BigInteger),
    Column("ended_ms", BigInteger),
    Column("max_active_runs", Integer, nullable=False),
    Column("stop_at_ms", BigInteger),
    Column("attempt", Integer, nullable=False),
    Column("timeout_s", BigInteger),
    Column("reason", String(32)),
    Column("retry_of", _Id),
    Column("not_before_ms", BigInteger),
    Column("retries", Integer),
    Column("retry_delay_s", BigInteger),
    # Of the FQN; null for runs without a service.
    Column("service_hash", _Hash),
    Column("idempotency_hash", _Hash),
    Column("pipeline_type", String(64), nullable=False),
    Column("runtime", String(255)),
    Column("process_pid", BigInteger),
    Column("process_start_ticks", BigInteger),
    Column("process_boot_id", String(64)),
    Column("pipeline_fqn", _LongText, nullable=False),
    Column("pipeline_name", _LongText, nullable=False),
    Column("service_fqn", _LongText, nullable=False),
    Column("requested_by", _LongText, nullable=False),
    Column("message", _LongText),
    Column("stop_by", _LongText),
    Column("stop_why", _LongText),
    Column("overrides", _LongText, nullable=False),
    Column("steps", _LongText, nullable=False),
    Column("evidence", _LongText, nullable=False),
    PrimaryKeyConstraint("id"),
    # One run per instant of a schedule (R1); runs without an instant are as many as one likes.
    UniqueConstraint("pipeline_id", "scheduled_for_ms"),
    UniqueConstraint("idempotency_hash"),
    CheckConstraint("state IN ('queued', 'running', 'success', 'partialSuccess', 'failed', 'stopped')", name="state"),
    CheckConstraint("(state IN ('queued', 'running')) = (ended_ms IS NULL)", name="terminal_has_an_end"),
    CheckConstraint("state <> 'running' OR started_ms IS NOT NULL", name="running_has_a_start"),
    # Answers a claim alone, in claim order, even when ten thousand queued runs are blocked by one limit.
    Index(
        "ix_runs_claim",
        "state",
        "priority",
        "enqueued_ms",
        "id",
        "pipeline_id",
        "max_active_runs",
        "stop_at_ms",
        "runtime",
        "service_hash",
        "not_before_ms",
    ),
    Index("ix_runs_of_pipeline", "pipeline_id", "enqueued_ms", "id"),
    Index("ix_runs_by_time", "enqueued_ms", "id"),
    Index("ix_runs_by_end", "ended_ms"),
    **_MYSQL,
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", _Serial, autoincrement=True, nullable=False),
    Column("run_id", _Id, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("next_ms", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("dead", Boolean, nullable=False),
    Column("last_error", _LongText),
    PrimaryKeyConstraint("id"),
    Index("ix_outbox_due", "dead", "next_ms"),
    Index("ix_outbox_of_run", "run_id", "dead", "id"),
    sqlite_autoincrement=True,
    **_MYSQL,
)

# The schedules of deployments while they were in force; `until_ms` is null for the present one. No foreign keys here:
# like runs, all this outlives the deployment that it tells of.
schedules = Table(
    "schedules",
    metadata,
    Column("pipeline_id", _Id, nullable=False),
    Column("since_ms", BigInteger, nullable=False),
    Column("until_ms", BigInteger),
    Column("decided_until_ms", BigInteger, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("timing", _LongText, nullable=False),
    PrimaryKeyConstraint("pipeline_id", "since_ms"),
    CheckConstraint("until_ms IS NULL OR until_ms > since_ms", name="ends_after_it_begins"),
    CheckConstraint("decided_until_ms >= since_ms", name="decided_in_force"),
    Index("ix_schedules_by_end", "until_ms", "pipeline_id"),
    **_MYSQL,
)

# One decision per instant, or one for several alike that follow each other: `instants` of them through `through_ms`.
ticks = Table(
    "ticks",
    metadata,
    Column("pipeline_id", _Id, nullable=False),
    Column("scheduled_for_ms", BigInteger, nullable=False),
    Column("through_ms", BigInteger, nullable=False),
    Column("instants", Integer, nullable=False),
    Column("decision", String(16), nullable=False),
    Column("decided_ms", BigInteger, nullable=False),
    Column("looked_ms", BigInteger, nullable=False),
    Column("run_id", _Id),
    Column("reason", String(32)),
    Column("remark", _LongText),
    # Never two decisions about an instant (R2).
    PrimaryKeyConstraint("pipeline_id", "scheduled_for_ms"),
    CheckConstraint("decision IN ('fired', 'coalesced', 'skipped', 'paused', 'missed')", name="decision"),
    CheckConstraint("decision NOT IN ('fired', 'coalesced', 'skipped') OR run_id IS NOT NULL", name="names_its_run"),
    Index("ix_ticks_by_age", "through_ms"),
    **_MYSQL,
)

# When a scheduler was at work: what lies between two rows it has not seen.
watches = Table(
    "watches",
    metadata,
    Column("id", _Serial, autoincrement=True, nullable=False),
    Column("from_ms", BigInteger, nullable=False),
    Column("until_ms", BigInteger, nullable=False),
    PrimaryKeyConstraint("id"),
    Index("ix_watches_by_time", "from_ms", "until_ms"),
    **_MYSQL,
)

# One row per name, written by the migration: MySQL and MariaDB have no lock that ends with the transaction but a row's.
locks = Table(
    "locks",
    metadata,
    Column("name", String(32), nullable=False),
    PrimaryKeyConstraint("name"),
    **_MYSQL,
)

# One row, written by the migration. The token is unique although there is one row only: PostgreSQL then lets those who
# compare the token pass while the holder renews, and makes them wait while another takes the lease (lease.py).
leases = Table(
    "leases",
    metadata,
    Column("name", String(32), nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("renewed_ms", BigInteger, nullable=False),
    Column("holder", _LongText),
    PrimaryKeyConstraint("name"),
    UniqueConstraint("token"),
    **_MYSQL,
)

users = Table(
    "users",
    metadata,
    Column("name", String(NAME_LENGTH), nullable=False),
    Column("role", String(16), nullable=False),
    Column("password_hash", String(255), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    PrimaryKeyConstraint("name"),
    CheckConstraint("role IN ('viewer', 'operator', 'admin')", name="role"),
    **_MYSQL,
)

# What is kept of a token proves that somebody has it, and is of no use to whoever reads it here.
tokens = Table(
    "tokens",
    metadata,
    Column("id", _Id, nullable=False),
    Column("user_name", String(NAME_LENGTH), ForeignKey("users.name", ondelete="CASCADE"), nullable=False),
    Column("name", String(NAME_LENGTH), nullable=False),
    Column("role", String(16), nullable=False),
    Column("digest", _Hash, nullable=False),
    Column("beginning", String(32), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("digest"),
    UniqueConstraint("user_name", "name"),
    CheckConstraint("role IN ('viewer', 'operator', 'admin')", name="role"),
    **_MYSQL,
)

# Outlives those whom it names.
audit = Table(
    "audit",
    metadata,
    Column("id", _Serial, autoincrement=True, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("user_name", String(256), nullable=False),
    Column("role", String(16), nullable=False),
    Column("via", String(256), nullable=False),
    Column("operation", String(64), nullable=False),
    Column("peer", String(64), nullable=False),
    Column("request", _LongText, nullable=False),
    Column("touched", _LongText),
    PrimaryKeyConstraint("id"),
    Index("ix_audit_by_user", "user_name", "id"),
    Index("ix_audit_by_age", "at_ms"),
    sqlite_autoincrement=True,
    **_MYSQL,
)

# The sandbox catalog keeps its documents in an SQLite file of its own; see documents.py.
documents = Table(
    "documents",
    sandbox_metadata,
    Column("kind", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("sort_key", Text, nullable=False),
    Column("document", Text, nullable=False),
    PrimaryKeyConstraint("kind", "id"),
    UniqueConstraint("kind", "sort_key"),
)
