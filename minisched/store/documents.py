"""DocumentStore: the sandbox catalog's documents, in an SQLite file of their own that may be deleted at any time.

It is a scratch store: no migrations, a version number in the file, and commits that may be lost when the power fails.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, bindparam, delete, func, select, text

from minisched.domain.errors import ConfigurationError
from minisched.domain.pipeline import Document
from minisched.store.columns import dump, load, prefix_range, storable
from minisched.store.engine import Database, open_database
from minisched.store.rotation import rotate_sandbox
from minisched.store.secrets import SecretBox
from minisched.store.tables import documents, sandbox_metadata
from minisched.store.upsert import upsert

_LAYOUT = 1

_BY_ID = select(documents.c.document).where(
    documents.c.kind == bindparam("kind"), documents.c.id == bindparam("document_id")
)
_BY_KEY = select(documents.c.document).where(
    documents.c.kind == bindparam("kind"), documents.c.sort_key == bindparam("sort_key")
)


class SqlDocumentStore:
    """Documents in the table `documents`; implements `ports.DocumentStore`.

    A document is filed under its FQN, or under its id when its kind has no FQNs; pages follow that key.
    """

    def __init__(self, database: Database, box: SecretBox) -> None:
        self._database = database
        self._box = box
        self._upsert = upsert(database.dialect, documents, key=("kind", "id"))

    def put(self, kind: str, documents: Iterable[Document]) -> None:
        """As the port says, all or none. Raises EntityExists when another document of the kind has the FQN."""
        rows = [self._row(kind, document) for document in documents]
        if rows:
            self._database.transact(lambda connection: connection.execute(self._upsert, rows))

    def get(self, kind: str, document_id: str) -> Document | None:
        with self._database.read() as connection:
            found = connection.execute(_BY_ID, {"kind": kind, "document_id": document_id}).scalar_one_or_none()
        return self._clear(found)

    def get_by_fqn(self, kind: str, fqn: str) -> Document | None:
        with self._database.read() as connection:
            found = connection.execute(_BY_KEY, {"kind": kind, "sort_key": storable(fqn)}).scalar_one_or_none()
        return self._clear(found)

    def page(self, kind: str, *, limit: int, after: str | None = None, prefix: str | None = None) -> list[Document]:
        statement = select(documents.c.document).where(*_of(kind, prefix))
        if after is not None:
            statement = statement.where(documents.c.sort_key > storable(after))
        with self._database.read() as connection:
            found = connection.execute(statement.order_by(documents.c.sort_key).limit(limit)).scalars().all()
        return [self._box.unseal(load(one)) for one in found]

    def count(self, kind: str, *, prefix: str | None = None) -> int:
        with self._database.read() as connection:
            return connection.execute(
                select(func.count()).select_from(documents).where(*_of(kind, prefix))
            ).scalar_one()

    def kinds(self) -> dict[str, int]:
        statement = (
            select(documents.c.kind, func.count().label("number")).group_by(documents.c.kind).order_by(documents.c.kind)
        )
        with self._database.read() as connection:
            return {row.kind: row.number for row in connection.execute(statement)}

    def delete(self, kind: str, document_id: str) -> bool:
        statement = delete(documents).where(documents.c.kind == kind, documents.c.id == document_id)
        return self._database.transact(lambda connection: bool(connection.execute(statement).rowcount))

    def clear(self) -> None:
        self._database.transact(lambda connection: connection.execute(delete(documents)))

    def rotate(self) -> int:
        """Seal every secret again with the first key of the box; see `rotation.rotate`."""
        return rotate_sandbox(self._database, self._box)

    def close(self) -> None:
        """Give back the file."""
        self._database.close()

    def _row(self, kind: str, document: Document) -> dict[str, Any]:
        identity = str(document["id"])
        return {
            "kind": kind,
            "id": identity,
            "sort_key": storable(str(document.get("fullyQualifiedName") or identity)),
            "document": dump(self._box.seal(document)),
        }

    def _clear(self, found: str | None) -> Document | None:
        return None if found is None else self._box.unseal(load(found))


def _of(kind: str, prefix: str | None) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [documents.c.kind == kind]
    if prefix is not None:
        lowest, beyond = prefix_range(storable(prefix) or "")
        conditions += [documents.c.sort_key >= lowest, documents.c.sort_key < beyond]
    return conditions


def open_document_store(path: Path, box: SecretBox, *, busy_timeout_s: float = 5.0) -> SqlDocumentStore:
    """The store in this file, made when it is missing. Raises ConfigurationError when a newer minisched made it."""
    database = open_database(f"sqlite:///{path}", busy_timeout_s=busy_timeout_s, synchronous="NORMAL")
    try:
        _prepare(database, path)
    except BaseException:
        database.close()
        raise
    return SqlDocumentStore(database, box)


def _prepare(database: Database, path: Path) -> None:
    with database.write() as connection:
        layout = connection.execute(text("PRAGMA user_version")).scalar_one()
        if layout > _LAYOUT:
            raise ConfigurationError(
                f"{path} was made by a newer minisched.", hint="Move it away; the sandbox starts empty then."
            )
        if layout < _LAYOUT:
            sandbox_metadata.create_all(connection)
            connection.execute(text(f"PRAGMA user_version = {_LAYOUT}"))
