"""PipelineStore: the front API's entities and their versions."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from minisched import failpoints
from minisched.acting import touches
from minisched.domain.errors import PipelineNotFound, StoreUnavailable, VersionConflict
from minisched.domain.pipeline import Pipeline
from minisched.ports import PipelinePage, PipelineQuery
from minisched.store.columns import bounded, canonical, digest, dump, key_of, load, storable, text_at
from minisched.store.engine import Database
from minisched.store.errors import ConnectionLost
from minisched.store.pipeline_pages import read_page
from minisched.store.secrets import SecretBox
from minisched.store.tables import pipeline_statuses, pipeline_versions, pipelines

_BY_ID = select(pipelines.c.document).where(pipelines.c.id == bindparam("pipeline_id"))
_BY_ID_LOCKED = _BY_ID.with_for_update()
_BY_FQN = select(pipelines.c.document).where(pipelines.c.fqn_hash == bindparam("fqn_hash"))
_VERSIONS = (
    select(pipeline_versions.c.document)
    .where(pipeline_versions.c.pipeline_id == bindparam("pipeline_id"))
    .order_by(pipeline_versions.c.id.desc())
)


class SqlPipelineStore:
    """Entities in the table `pipelines`, earlier versions in `pipeline_versions`; implements `ports.PipelineStore`."""

    def __init__(self, database: Database, box: SecretBox) -> None:
        self._database = database
        self._box = box

    def create(self, pipeline: Pipeline) -> None:
        """As the port says. When the database goes away during the commit, looks once whether it is stored."""
        row = self._row(pipeline)
        touches(pipeline.fqn)

        def create(connection: Connection) -> None:
            connection.execute(insert(pipelines), row)
            failpoints.reach("before_create_commit")

        try:
            self._database.transact(create)
        except StoreUnavailable as unknown:
            self._require_stored(pipeline, unknown)

    def replace(self, pipeline: Pipeline, *, expected: Pipeline) -> None:
        """As the port says. When the database goes away during the commit, looks once whether it is stored."""
        row = self._row(pipeline)
        touches(pipeline.fqn)

        def replace(connection: Connection) -> None:
            stored = connection.execute(_BY_ID_LOCKED, {"pipeline_id": expected.id}).scalar_one_or_none()
            if stored is None:
                raise _not_found(expected.id)
            if canonical(self._box.unseal(load(stored))) != canonical(expected.document):
                raise VersionConflict(f"Pipeline {expected.fqn} was changed by somebody else meanwhile.")
            connection.execute(update(pipelines).where(pipelines.c.id == expected.id).values(**row))
            if pipeline.version > expected.version:
                connection.execute(insert(pipeline_versions), self._version_row(expected))

        try:
            self._database.transact(replace)
        except StoreUnavailable as unknown:
            self._require_stored(pipeline, unknown)

    def _require_stored(self, pipeline: Pipeline, unknown: StoreUnavailable) -> None:
        try:
            stored = self.get(pipeline.id)
        except (StoreUnavailable, PipelineNotFound):
            raise unknown from None
        if canonical(stored.document) != canonical(pipeline.document):
            raise unknown

    def get(self, pipeline_id: str) -> Pipeline:
        with self._database.read() as connection:
            return self._pipeline(self._document(connection, pipeline_id))

    def get_by_fqn(self, fqn: str) -> Pipeline:
        with self._database.read() as connection:
            document = connection.execute(_BY_FQN, {"fqn_hash": digest(fqn)}).scalar_one_or_none()
        if document is None:
            raise PipelineNotFound(f"ingestionPipeline instance for {fqn} not found")
        return self._pipeline(document)

    def page(self, query: PipelineQuery) -> PipelinePage:
        with self._database.read() as connection:
            found = read_page(connection, query)
        return PipelinePage(
            [self._pipeline(document) for document in found.documents], found.total, found.before, found.after
        )

    def history(self, pipeline_id: str) -> list[Pipeline]:
        with self._database.read() as connection:
            current = self._document(connection, pipeline_id)
            earlier = connection.execute(_VERSIONS, {"pipeline_id": pipeline_id}).scalars().all()
        return [self._pipeline(document) for document in (current, *earlier)]

    def remove(self, pipeline_id: str) -> None:
        def remove(connection: Connection) -> None:
            fqn_of = select(pipelines.c.fqn, pipelines.c.fqn_hash).where(pipelines.c.id == pipeline_id)
            found = connection.execute(fqn_of).one_or_none()
            if found is None:
                raise _not_found(pipeline_id)
            touches(found.fqn)
            connection.execute(delete(pipeline_statuses).where(pipeline_statuses.c.fqn_hash == found.fqn_hash))
            connection.execute(delete(pipelines).where(pipelines.c.id == pipeline_id))

        try:
            self._database.transact(remove)
        except ConnectionLost:
            with suppress(PipelineNotFound):
                self._database.transact(remove)

    def _document(self, connection: Connection, pipeline_id: str) -> str:
        document = connection.execute(_BY_ID, {"pipeline_id": pipeline_id}).scalar_one_or_none()
        if document is None:
            raise _not_found(pipeline_id)
        return str(document)

    def _pipeline(self, document: str) -> Pipeline:
        return Pipeline(self._box.unseal(load(document)))

    def _version_row(self, pipeline: Pipeline) -> dict[str, Any]:
        return {
            "pipeline_id": pipeline.id,
            "version": str(pipeline.version),
            "document": dump(self._box.seal(pipeline.document)),
        }

    def _row(self, pipeline: Pipeline) -> dict[str, Any]:
        document = pipeline.document
        return {
            "id": pipeline.id,
            "name_key": key_of(pipeline.name),
            "display_key": key_of(text_at(document, "displayName") or pipeline.name),
            "fqn_key": key_of(pipeline.fqn),
            "fqn_hash": digest(pipeline.fqn),
            "fqn": storable(pipeline.fqn),
            "service_fqn": storable(text_at(document, "service", "fullyQualifiedName")) or "",
            "service_type": text_at(document, "service", "type") or "",
            "pipeline_type": pipeline.pipeline_type,
            "application_type": _application_type(pipeline),
            "provider": text_at(document, "provider") or "user",
            "deleted": pipeline.deleted,
            "version": str(pipeline.version),
            "updated_at_ms": bounded(int(document.get("updatedAt") or 0)),
            "document": dump(self._box.seal(document)),
        }


def _application_type(pipeline: Pipeline) -> str | None:
    return text_at(pipeline.document, "applicationType") or text_at(
        pipeline.document, "sourceConfig", "config", "appConfig", "type"
    )


def _not_found(pipeline_id: str) -> PipelineNotFound:
    return PipelineNotFound(f"ingestionPipeline instance for {pipeline_id} not found")
