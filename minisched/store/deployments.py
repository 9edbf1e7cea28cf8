"""DeploymentStore: what the local orchestrator was told to run."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select, update

from minisched import failpoints
from minisched.acting import acting, touches
from minisched.domain.errors import ConfigurationError
from minisched.domain.instant import from_ms, to_ms
from minisched.domain.pipeline import Deployment, Document, Judgement
from minisched.domain.tick import timing_of
from minisched.store import schedule_rows
from minisched.store.columns import canonical, digest, dump, load, storable
from minisched.store.engine import DEPLOY_LOCK, Database
from minisched.store.secrets import SecretBox
from minisched.store.tables import deployments

_BY_ID = select(deployments).where(deployments.c.id == bindparam("pipeline_id"))
_FQN = select(deployments.c.fqn).where(deployments.c.id == bindparam("pipeline_id"))
_BY_CLEAN_NAME = select(deployments).where(deployments.c.clean_name_hash == bindparam("clean_name_hash"))


class SqlDeploymentStore:
    """Deployments in the table `deployments`; implements `ports.DeploymentStore`."""

    def __init__(self, database: Database, box: SecretBox) -> None:
        self._database = database
        self._box = box

    def upsert(self, deployment: Deployment) -> bool:
        """As the port says. When it was deployed makes no difference, everything else does."""
        touches(deployment.fqn)
        if self._is_stored(deployment):
            return False
        row = self._row(deployment)
        timing = timing_of(deployment.airflow_config)
        self._database.repeat(lambda connection: self._put(connection, row, timing))
        failpoints.reach("after_deploy_commit")
        return True

    def _is_stored(self, deployment: Deployment) -> bool:
        try:
            stored = self.get(deployment.id)
        except ConfigurationError:
            # Sealed with a key that was lost: deploying again is how the secrets come back.
            return False
        return stored is not None and _same(stored, deployment)

    def _put(self, connection: Connection, row: dict[str, Any], timing: Document) -> None:
        self._database.serialize(connection, DEPLOY_LOCK)
        if not connection.execute(update(deployments).where(deployments.c.id == row["id"]).values(**row)).rowcount:
            connection.execute(insert(deployments), row)
        schedule_rows.put_schedule(connection, row["id"], timing, enabled=row["enabled"], at_ms=row["deployed_at_ms"])
        failpoints.reach("before_deploy_commit")

    def get(self, pipeline_id: str) -> Deployment | None:
        with self._database.read() as connection:
            row = connection.execute(_BY_ID, {"pipeline_id": pipeline_id}).one_or_none()
        return None if row is None else self._deployment(row)

    def find(self, clean_name: str) -> Deployment | None:
        with self._database.read() as connection:
            row = connection.execute(_BY_CLEAN_NAME, {"clean_name_hash": digest(clean_name)}).one_or_none()
        return None if row is None else self._deployment(row)

    def set_enabled(self, pipeline_id: str, *, enabled: bool, at: datetime) -> bool:
        statement = update(deployments).where(deployments.c.id == pipeline_id).values(enabled=enabled)

        def change(connection: Connection) -> bool:
            _touch(connection, pipeline_id)
            known = bool(connection.execute(statement).rowcount)
            if known:
                schedule_rows.set_enabled(connection, pipeline_id, enabled=enabled, at_ms=to_ms(at))
            return known

        known = self._database.repeat(change)
        failpoints.reach("after_toggle_commit")
        return known

    def delete(self, pipeline_id: str, *, at: datetime) -> bool:
        statement = delete(deployments).where(deployments.c.id == pipeline_id)

        def forget(connection: Connection) -> bool:
            _touch(connection, pipeline_id)
            known = bool(connection.execute(statement).rowcount)
            schedule_rows.forget_schedule(connection, pipeline_id, at_ms=to_ms(at))
            return known

        known = self._database.repeat(forget)
        failpoints.reach("after_undeploy_commit")
        return known

    def all(self) -> list[Deployment]:
        with self._database.read() as connection:
            rows = connection.execute(select(deployments)).all()
        return sorted((self._deployment(row) for row in rows), key=lambda deployment: deployment.fqn)

    def count(self) -> int:
        with self._database.read() as connection:
            return connection.execute(select(func.count()).select_from(deployments)).scalar_one()

    def _row(self, deployment: Deployment) -> dict[str, Any]:
        return {
            "id": deployment.id,
            "name": storable(deployment.name),
            "clean_name": deployment.clean_name,
            "clean_name_hash": digest(deployment.clean_name),
            "fqn": storable(deployment.fqn),
            "pipeline_type": deployment.pipeline_type,
            "enabled": deployment.enabled,
            "deployed_at_ms": to_ms(deployment.deployed_at),
            "document": dump(self._box.seal(deployment.document)),
            "runtime": deployment.runtime,
            "judged_by": deployment.judgement.by,
            "left_out": dump(list(deployment.judgement.left_out)),
        }

    def _deployment(self, row: Row[Any]) -> Deployment:
        return Deployment(
            id=row.id,
            name=row.name,
            fqn=row.fqn,
            pipeline_type=row.pipeline_type,
            document=self._box.unseal(load(row.document)),
            enabled=bool(row.enabled),
            deployed_at=from_ms(row.deployed_at_ms),
            runtime=row.runtime,
            judgement=Judgement(row.judged_by, tuple(load(row.left_out or "[]"))),
        )


def _touch(connection: Connection, pipeline_id: str) -> None:
    if acting.get() is not None:
        fqn = connection.execute(_FQN, {"pipeline_id": pipeline_id}).scalar_one_or_none()
        touches(pipeline_id if fqn is None else fqn)


def _same(one: Deployment, other: Deployment) -> bool:
    """Compared as JSON, where 1 and true are two things."""
    return _identity(one) == _identity(other) and canonical(one.document) == canonical(other.document)


def _identity(deployment: Deployment) -> tuple[Any, ...]:
    return (
        deployment.name,
        deployment.fqn,
        deployment.pipeline_type,
        deployment.enabled,
        deployment.runtime,
        deployment.judgement,
    )
