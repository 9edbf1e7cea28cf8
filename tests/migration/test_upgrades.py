"""Upgrades: the schema is the one of tables.py, every row stays, what cannot be done is refused with a reason."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, inspect, select, text, update

from minisched.domain.errors import ConfigurationError
from minisched.domain.pipeline import NOT_JUDGED
from minisched.store import migrations
from minisched.store.deployments import SqlDeploymentStore
from minisched.store.engine import Database, open_database
from minisched.store.migrations import backup, current, head, migrating, prepare, upgrade
from minisched.store.secrets import SecretBox, new_key
from minisched.store.tables import metadata
from tests.integration.test_database_secrets import assert_readable, fill
from tests.store_kinds import SUCCESS, a_run, finished, sql_stores


def test_an_upgraded_database_has_the_tables_of_the_code(unmigrated_url: str) -> None:
    assert current(unmigrated_url) is None
    assert upgrade(unmigrated_url) == head() == current(unmigrated_url)
    with closing(open_database(unmigrated_url)) as database, database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        assert checks_of_runs(connection) >= {"ck_runs_state", "ck_runs_terminal_has_an_end"}


def checks_of_runs(connection: Connection) -> set[str]:
    return {str(check["name"]) for check in inspect(connection).get_check_constraints("runs")}


def test_upgrading_twice_changes_nothing(database_url: str) -> None:
    with closing(open_database(database_url)) as database:
        box = SecretBox([new_key()])
        ids = fill(database, box)
        before = rows(database)
        assert upgrade(database_url) == head()
        assert rows(database) == before
        assert_readable(database, box, *ids)


def rows(database: Database) -> dict[str, int]:
    with database.read() as connection:
        return {
            name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for name, table in metadata.tables.items()
        }


def test_foreign_keys_take_no_rows_along_when_tables_are_copied(sqlite_url: str) -> None:
    """What a later revision will do on SQLite: copy a table, drop the old one, rename."""
    with sql_stores("sqlite", sqlite_url) as stores:
        finished(stores, a_run())
    with closing(open_database(sqlite_url)) as database:
        before = rows(database)
        with migrating(database) as connection:
            copy_of_runs(connection)
        assert rows(database) == before
        assert before["outbox"] == 1
        with database.read() as connection:
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar_one() == 1


def copy_of_runs(connection: Connection) -> None:
    definition = connection.execute(text("SELECT sql FROM sqlite_master WHERE name = 'runs'")).scalar_one()
    connection.exec_driver_sql(definition.replace("TABLE runs", "TABLE runs_new"))
    connection.exec_driver_sql("INSERT INTO runs_new SELECT * FROM runs")
    connection.exec_driver_sql("DROP TABLE runs")
    connection.exec_driver_sql("ALTER TABLE runs_new RENAME TO runs")


def test_an_upgrade_that_would_break_references_is_undone(sqlite_url: str) -> None:
    with sql_stores("sqlite", sqlite_url) as stores:
        finished(stores, a_run())
    with closing(open_database(sqlite_url)) as database:
        before = rows(database)
        with pytest.raises(ConfigurationError, match="without what they refer to"), migrating(database) as connection:
            connection.exec_driver_sql("DELETE FROM runs")
        assert rows(database) == before


def test_a_failing_upgrade_leaves_sqlite_as_it_was(tmp_path: Path) -> None:
    with closing(open_database(f"sqlite:///{tmp_path / 'x.db'}")) as database:
        with pytest.raises(ZeroDivisionError), migrating(database) as connection:
            fail_after_a_table(connection)
        with database.read() as connection:
            assert inspect(connection).get_table_names() == []


def fail_after_a_table(connection: Connection) -> None:
    connection.exec_driver_sql("CREATE TABLE half (x INTEGER)")
    raise ZeroDivisionError


def test_downgrades_are_refused_with_what_to_do(database_url: str) -> None:
    with closing(open_database(database_url)) as database:
        before = rows(database)
        with pytest.raises(ConfigurationError, match="Restore the backup"), migrating(database) as connection:
            downgrade(connection)
        assert rows(database) == before
    assert current(database_url) == head()


def downgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parents[2] / "migrations"))
    config.attributes["connection"] = connection
    command.downgrade(config, "base")


def test_every_revision_refuses_to_go_back() -> None:
    script = ScriptDirectory(str(Path(migrations.__file__).parents[2] / "migrations"))
    for revision in script.walk_revisions():
        with pytest.raises(ConfigurationError, match=revision.revision):
            revision.module.downgrade()


def set_revision(url: str, revision: str) -> None:
    with closing(open_database(url)) as database, database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})


def test_a_newer_database_is_refused(database_url: str) -> None:
    set_revision(database_url, "9999")
    try:
        for attempt in (prepare, upgrade):
            with pytest.raises(ConfigurationError, match="9999"):
                attempt(database_url)
    finally:
        set_revision(database_url, head())


def test_a_database_of_somebody_else_is_refused(unmigrated_url: str) -> None:
    with closing(open_database(unmigrated_url)) as database:
        with database.write() as connection:
            connection.execute(text("CREATE TABLE runs (x INTEGER)"))
        with pytest.raises(ConfigurationError, match="did not make"):
            prepare(unmigrated_url)


def test_prepare_makes_a_new_sqlite_database_without_a_backup(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'data' / 'minisched.db'}"
    done = prepare(url)
    assert (done.before, done.now, done.backup, done.upgraded) == (None, head(), None, True)
    again = prepare(url)
    assert (again.upgraded, again.backup) == (False, None)


def test_prepare_backs_an_older_sqlite_database_up_first(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(open_database(sqlite_url)) as database:
        box = SecretBox([new_key()])
        ids = fill(database, box)
        before = rows(database)
    present = head()
    monkeypatch.setattr(migrations, "head", lambda: "next")
    upgraded: list[str] = []

    def note(url: str) -> str:
        upgraded.append(url)
        return "next"

    monkeypatch.setattr(migrations, "upgrade", note)
    done = prepare(sqlite_url)
    assert upgraded == [sqlite_url]
    assert done.backup is not None
    assert done.backup.name.startswith(f"minisched.db.{present}.")
    assert done.backup.stat().st_mode & 0o777 == 0o600
    with closing(open_database(f"sqlite:///{done.backup}")) as database:
        assert rows(database) == before
        assert_readable(database, box, *ids)


@pytest.mark.external_service
@pytest.mark.parametrize("unmigrated_url", ["postgresql", "mariadb"], indirect=True)
def test_prepare_leaves_servers_to_their_operators(unmigrated_url: str) -> None:
    with pytest.raises(ConfigurationError, match="minisched db upgrade"):
        prepare(unmigrated_url)
    assert current(unmigrated_url) is None
    upgrade(unmigrated_url)
    assert prepare(unmigrated_url).upgraded is False


def test_two_upgrades_at_once_do_the_work_once(unmigrated_url: str) -> None:
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(upgrade, [unmigrated_url] * 2)) == [head()] * 2
    assert current(unmigrated_url) == head()


def test_a_backup_is_whole_while_somebody_writes(sqlite_url: str, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    with sql_stores("sqlite", sqlite_url) as stores, closing(open_database(sqlite_url)) as writer:
        run = finished(stores, a_run(), SUCCESS)
        with writer.write() as connection:
            connection.execute(update(metadata.tables["runs"]).values(message="not committed"))
            assert backup(sqlite_url, target) == target
    assert target.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(target)) as copy:
        assert copy.execute("SELECT id, message FROM runs").fetchall() == [(run.id, SUCCESS.message)]


def test_a_backup_overwrites_nothing(sqlite_url: str, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    target.write_text("precious")
    with pytest.raises(ConfigurationError, match="exists already"):
        backup(sqlite_url, target)
    assert target.read_text() == "precious"
    with pytest.raises(ConfigurationError, match="cannot be written"):
        backup(sqlite_url, tmp_path / "absent" / "copy.db")
    with pytest.raises(ConfigurationError, match="no database"):
        backup(f"sqlite:///{tmp_path / 'absent.db'}", tmp_path / "new.db")


@pytest.mark.parametrize(
    ("url", "tool"), [("postgresql://u:hunter2@h/db", "pg_dump"), ("mysql://u:hunter2@h/db", "mariadb-dump")]
)
def test_servers_have_tools_of_their_own_for_backups(url: str, tool: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=tool) as refusal:
        backup(url, tmp_path / "x")
    assert "hunter2" not in str(refusal.value)


def test_current_of_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_text("this is a text, and a long one, not a database " * 50)
    with pytest.raises(ConfigurationError, match="not a database"):
        current(f"sqlite:///{path}")


def test_current_makes_no_file(tmp_path: Path) -> None:
    assert current(f"sqlite:///{tmp_path / 'absent.db'}") is None
    assert list(tmp_path.iterdir()) == []


def test_deployments_from_before_runtimes_were_chosen_stay(unmigrated_url: str) -> None:
    box = SecretBox([new_key()])
    with closing(open_database(unmigrated_url)) as database:
        with migrating(database) as connection:
            config = Config()
            config.set_main_option("script_location", str(Path(migrations.__file__).parents[2] / "migrations"))
            config.attributes["connection"] = connection
            command.upgrade(config, "0001")
        row = {"id": "1", "clean_name_hash": "h", "enabled": True, "deployed_at_ms": 1, "pipeline_type": "metadata"}
        row |= {"name": "n", "clean_name": "n", "fqn": "s.n", "document": "{}"}
        names = ", ".join(row)
        values = ", ".join(f":{name}" for name in row)
        with database.write() as connection:
            connection.execute(text(f"INSERT INTO deployments ({names}) VALUES ({values})"), row)
        upgrade(unmigrated_url)
        [deployment] = SqlDeploymentStore(database, box).all()
    assert (deployment.fqn, deployment.runtime, deployment.judgement) == ("s.n", None, NOT_JUDGED)
