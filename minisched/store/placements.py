"""PlacementStore: which orchestrator each pipeline was handed to."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from minisched.domain.errors import StoreUnavailable
from minisched.domain.instant import from_ms, to_ms
from minisched.domain.pipeline import Document
from minisched.domain.placement import Placement
from minisched.store.columns import digest, dump, load, storable
from minisched.store.engine import Database
from minisched.store.secrets import SecretBox
from minisched.store.tables import placements

_WITHOUT_DOCUMENT = [column for column in placements.c if column is not placements.c.document]


@dataclass
class _Known:
    """The whole table but for its documents: the server that holds the database is the only one that writes."""

    by_id: dict[str, Placement]
    ids: dict[str, str]

    def put(self, placement: Placement) -> None:
        self.remove(placement.pipeline_id)
        self.by_id[placement.pipeline_id] = placement
        self.ids[placement.clean_name] = placement.pipeline_id

    def remove(self, pipeline_id: str) -> None:
        if (former := self.by_id.pop(pipeline_id, None)) is not None:
            del self.ids[former.clean_name]


class SqlPlacementStore:
    """Placements in the table `placements`, read once and kept in memory; implements `ports.PlacementStore`."""

    def __init__(self, database: Database, box: SecretBox) -> None:
        self._database = database
        self._box = box
        self._lock = threading.Lock()
        self._kept: _Known | None = None

    def get(self, pipeline_id: str) -> Placement | None:
        with self._lock:
            return self._known().by_id.get(pipeline_id)

    def find(self, clean_name: str) -> Placement | None:
        with self._lock:
            known = self._known()
            return known.by_id.get(known.ids.get(clean_name, ""))

    def all(self) -> list[Placement]:
        with self._lock:
            return sorted(self._known().by_id.values(), key=lambda placement: placement.fqn)

    def put(self, placement: Placement, document: Document | None) -> None:
        sealed = None if document is None else dump(self._box.seal(document))
        self._write(placement, {**_row(placement), "document": sealed})

    def update(self, placement: Placement) -> None:
        self._write(placement, _row(placement))

    def document(self, pipeline_id: str) -> Document | None:
        statement = select(placements.c.document).where(placements.c.pipeline_id == pipeline_id)
        with self._database.read() as connection:
            sealed = connection.execute(statement).scalar_one_or_none()
        if sealed is None:
            return None
        document: Document = self._box.unseal(load(sealed))
        return document

    def remove(self, pipeline_id: str) -> None:
        statement = delete(placements).where(placements.c.pipeline_id == pipeline_id)
        with self._lock:
            known = self._known()
            self._changed(lambda connection: connection.execute(statement))
            known.remove(pipeline_id)

    def _write(self, placement: Placement, row: dict[str, Any]) -> None:
        change = update(placements).where(placements.c.pipeline_id == placement.pipeline_id).values(**row)

        def put(connection: Connection) -> None:
            if not connection.execute(change).rowcount:
                connection.execute(insert(placements), row)

        with self._lock:
            known = self._known()
            self._changed(put)
            known.put(placement)

    def _changed(self, work: Any) -> None:
        try:
            self._database.repeat(work)
        except StoreUnavailable:
            self._kept = None  # whether it was written is not known: read it again
            raise

    def _known(self) -> _Known:
        if self._kept is None:
            known = _Known({}, {})
            with self._database.read() as connection:
                for row in connection.execute(select(*_WITHOUT_DOCUMENT)):
                    known.put(_placement(row))
            self._kept = known
        return self._kept


def _row(placement: Placement) -> dict[str, Any]:
    return {
        "pipeline_id": placement.pipeline_id,
        "clean_name_hash": digest(placement.clean_name),
        "client": placement.client,
        "since_ms": to_ms(placement.since),
        "came_from": placement.came_from,
        "also_in": placement.also_in,
        "enabled": placement.enabled,
        "pipeline_type": placement.pipeline_type,
        "name": storable(placement.name),
        "fqn": storable(placement.fqn),
        "service_fqn": storable(placement.service_fqn),
    }


def _placement(row: Row[Any]) -> Placement:
    return Placement(
        pipeline_id=row.pipeline_id,
        name=row.name,
        fqn=row.fqn,
        pipeline_type=row.pipeline_type,
        service_fqn=row.service_fqn,
        client=row.client,
        since=from_ms(row.since_ms),
        came_from=row.came_from,
        also_in=row.also_in,
        enabled=bool(row.enabled),
    )
