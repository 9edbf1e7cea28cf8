"""How Alembic reaches the database: on a connection that `minisched.store.migrations` prepared, or, for a developer who
writes a revision, on the one of `alembic -x url=sqlite:///… revision --autogenerate -m "…"`."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from minisched.store.engine import open_database
from minisched.store.migrations import migrating
from minisched.store.tables import metadata


def run(connection: Connection) -> None:
    """Run the migrations inside the transaction of this connection, all of them or none where DDL can be undone."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def main() -> None:
    """Offline SQL is not offered: the migrations look at what they find."""
    connection = context.config.attributes.get("connection")
    if connection is not None:
        run(connection)
        return
    database = open_database(context.get_x_argument(as_dictionary=True)["url"])
    try:
        with migrating(database) as prepared:
            run(prepared)
    finally:
        database.close()


main()
