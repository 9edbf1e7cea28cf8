"""PipelineStatusStore: what workflows report by PUT pipelineStatus."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, delete, select

from minisched.domain.pipeline import Document
from minisched.store.columns import bounded, digest, dump, load, storable
from minisched.store.engine import Database
from minisched.store.secrets import SecretBox
from minisched.store.tables import pipeline_statuses as statuses
from minisched.store.upsert import upsert

# A status without a timestamp sorts behind all others.
_NO_TIMESTAMP = -1

_ONE = select(statuses.c.document).where(
    statuses.c.fqn_hash == bindparam("fqn_hash"), statuses.c.run_id == bindparam("run_id")
)
_NEWEST = (
    select(statuses.c.document)
    .where(statuses.c.fqn_hash == bindparam("fqn_hash"))
    .order_by(statuses.c.timestamp_ms.desc(), statuses.c.run_id.desc())
)


class SqlPipelineStatusStore:
    """PipelineStatus documents in `pipeline_statuses`; implements `ports.PipelineStatusStore`."""

    def __init__(self, database: Database, box: SecretBox) -> None:
        self._database = database
        self._box = box
        self._upsert = upsert(database.dialect, statuses, key=("fqn_hash", "run_id"))

    def put(self, fqn: str, status: Document) -> Document | None:
        timestamp = status.get("timestamp")
        row = {
            "fqn_hash": digest(fqn),
            "run_id": str(status["runId"]),
            "fqn": storable(fqn),
            "timestamp_ms": _NO_TIMESTAMP if timestamp is None else bounded(int(timestamp)),
            "document": dump(self._box.seal(status)),
        }

        def put(connection: Connection) -> str | None:
            key = {"fqn_hash": row["fqn_hash"], "run_id": row["run_id"]}
            earlier = connection.execute(_ONE, key).scalar_one_or_none()
            connection.execute(self._upsert, row)
            return earlier

        return self._clear(self._database.repeat(put))

    def get(self, fqn: str, run_id: str) -> Document | None:
        with self._database.read() as connection:
            found = connection.execute(_ONE, {"fqn_hash": digest(fqn), "run_id": run_id}).scalar_one_or_none()
        return self._clear(found)

    def search(
        self, fqn: str, *, start_ms: int | None = None, end_ms: int | None = None, limit: int | None = None
    ) -> list[Document]:
        statement = _NEWEST.limit(limit)
        if start_ms is not None:
            statement = statement.where(statuses.c.timestamp_ms >= bounded(start_ms))
        if end_ms is not None:
            statement = statement.where(statuses.c.timestamp_ms.between(0, bounded(end_ms)))
        with self._database.read() as connection:
            found = connection.execute(statement, {"fqn_hash": digest(fqn)}).scalars().all()
        return [self._box.unseal(load(text)) for text in found]

    def latest(self, fqns: Sequence[str], *, each: int) -> dict[str, list[Document]]:
        """As the port says; pipelines without a status are left out."""
        # One short index scan per pipeline: a window function would read every status that these pipelines ever had.
        statement = _NEWEST.limit(each)
        with self._database.read() as connection:
            found = {fqn: connection.execute(statement, {"fqn_hash": digest(fqn)}).scalars().all() for fqn in set(fqns)}
        return {fqn: [self._box.unseal(load(text)) for text in texts] for fqn, texts in found.items() if texts}

    def delete(self, fqn: str, run_id: str | None = None) -> None:
        statement = delete(statuses).where(statuses.c.fqn_hash == digest(fqn))
        if run_id is not None:
            statement = statement.where(statuses.c.run_id == run_id)
        self._database.repeat(lambda connection: connection.execute(statement))

    def _clear(self, text: str | None) -> Document | None:
        return None if text is None else self._box.unseal(load(text))
