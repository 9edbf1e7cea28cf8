"""Pieces of the demo: its database, its documents, its clock, and the server that an earlier one kept."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from minisched.cli import demo_documents, kept_server
from minisched.cli.demo_command import _how_to_look_around, _Narrator, _print
from minisched.cli.demo_run import Outcome, _Log, arrived_in
from minisched.cli.interruption import deferring_interrupts, interrupted_once
from minisched.cli.kept_server import Address, KeptServer, ServerHangs, only_one
from minisched.cli.printing import console
from minisched.cli.sample_database import TABLES, VIEWS, create_sample_database
from minisched.cli.server import Server
from minisched.domain.errors import Conflict


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    create_sample_database(tmp_path / "shop.db")
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        yield connection


def _names(shop: sqlite3.Connection, kind: str) -> list[str]:
    return [name for (name,) in shop.execute("SELECT name FROM sqlite_master WHERE type = ? ORDER BY 1", (kind,))]


def test_the_sample_database_has_what_it_promises(shop: sqlite3.Connection) -> None:
    assert (len(_names(shop, "table")), len(_names(shop, "view"))) == (TABLES, VIEWS)
    for name in _names(shop, "table") + _names(shop, "view"):
        assert shop.execute(f"SELECT COUNT(*) FROM {name}").fetchone()[0] > 0, name


def test_the_rows_of_the_sample_database_refer_to_rows_that_exist(shop: sqlite3.Connection) -> None:
    assert shop.execute("PRAGMA foreign_key_check").fetchall() == []
    references = [shop.execute(f"PRAGMA foreign_key_list({name})").fetchall() for name in _names(shop, "table")]
    assert sum(map(bool, references)) >= 12


def test_the_sample_database_is_made_anew_and_left_whole(tmp_path: Path) -> None:
    path = tmp_path / "below" / "shop.db"
    create_sample_database(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TABLE page_view")
    create_sample_database(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM page_view").fetchone()[0] > 0
    assert [entry.name for entry in path.parent.iterdir()] == ["shop.db"]


def test_the_pipeline_of_the_demo_refers_to_its_service_and_owner() -> None:
    pipeline = demo_documents.pipeline()
    assert pipeline["service"]["id"] == demo_documents.service(Path("/x"))["id"]
    assert pipeline["owner"]["id"] == demo_documents.owner()["id"]
    assert pipeline["airflowConfig"] == {"scheduleInterval": "0 * * * *"}


def test_the_first_line_of_a_log_says_when_it_was_written() -> None:
    written: list[bytes] = []
    log = _Log(written.append)
    log.write(b"no stamp here\n")
    log.write(b"more\n[1970-01-01T00:00:01.500Z] INFO     {metadata} - hello\n")
    log.write(b"[1970-01-01T00:00:02.000Z] INFO     {metadata} - again\n")
    assert log.first_line_ns == 1_500_000_000
    assert len(written) == 3


def test_what_arrived_is_told_apart_into_tables_and_views() -> None:
    tables = [
        {"name": "b", "fullyQualifiedName": "sample_shop.default.main.b", "tableType": "View", "columns": [{}]},
        {"name": "a", "fullyQualifiedName": "sample_shop.default.main.a", "tableType": "Regular", "columns": [{}, {}]},
        {"name": "c", "fullyQualifiedName": "sample_shop.default.main.c"},
    ]
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"data": tables}))
    with Server("http://127.0.0.1:8580", transport) as server:
        assert arrived_in(server) == {
            "schema": "sample_shop.default.main",
            "tables": [{"name": "a", "columns": 2}, {"name": "c", "columns": 0}],
            "views": [{"name": "b", "columns": 1}],
            "columns": 3,
        }


def _kept_outcome(directory: str) -> Outcome:
    return Outcome(
        runtime={},
        at=Address("http://127.0.0.1:40001", 4711, kept=True),
        pipeline={"fullyQualifiedName": "demo_shop.demo_shop_metadata"},
        run={"id": "0f5f4c1e-3a0b-4d5e-9d59-4d1a44a9f111", "state": "success"},
        arrived={"schema": "demo_shop.default.main", "tables": [], "views": [], "columns": 0},
        timings={"trigger_to_workflow_ms": 1.0, "trigger_to_first_line_ms": 2.0, "import_s": None},
        password_file=Path(directory) / "admin.password",
    )


def test_what_is_to_be_pasted_is_a_line_in_the_narrowest_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    outcome = _kept_outcome("/home/somebody/.local/share/minisched/demo")
    _print(console(), outcome, "minisched")
    _Narrator(to_stderr=False).done("server at " + "http://127.0.0.1:40001/" * 3)
    shown = capsys.readouterr().out.splitlines()
    file = "/home/somebody/.local/share/minisched/demo/admin.password"
    call = f"MINISCHED_PASSWORD=$(cat {file}) minisched --url http://127.0.0.1:40001 runs list"
    assert f"  shell: {call}" in shown
    assert all(any(line.endswith(url) for line in shown) for url in outcome.addresses().values())
    assert any("http://127.0.0.1:40001/" * 3 in line for line in shown)


def test_a_path_with_spaces_can_be_pasted() -> None:
    lines = list(_how_to_look_around(_kept_outcome("/my data"), "uv run minisched"))
    assert any("$(cat '/my data/admin.password') uv run minisched --url" in line for line in lines)


def test_two_demos_at_once_are_one_too_many(tmp_path: Path) -> None:
    with only_one(tmp_path / "lock"), pytest.raises(Conflict), only_one(tmp_path / "lock"):
        pytest.fail("the second one got in")
    with only_one(tmp_path / "lock"):
        pass


def test_a_note_of_a_process_that_is_gone_or_another_leads_nowhere(tmp_path: Path) -> None:
    note = tmp_path / "kept.json"
    assert KeptServer(note).find() is None
    note.write_text("{half")
    assert KeptServer(note).find() is None
    KeptServer(note).note("http://127.0.0.1:1", os.getpid())
    document = json.loads(note.read_text())
    document["process"]["start_ticks"] += 1
    note.write_text(json.dumps(document))
    assert KeptServer(note).find() is None


def test_a_kept_server_is_found_only_if_it_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = KeptServer(tmp_path / "kept.json")
    kept.note("http://127.0.0.1:1", os.getpid())
    answers = [httpx.Response(200, json={}), httpx.Response(503)]
    transport = httpx.MockTransport(lambda _: answers.pop(0))
    monkeypatch.setattr(kept_server, "Server", lambda url: Server(url, transport))
    found = kept.find()
    assert found is not None
    assert (found.url, found.pid) == ("http://127.0.0.1:1", os.getpid())
    with pytest.raises(ServerHangs, match=f"kill {os.getpid()}"):
        kept.find()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_interrupts_and_later_ones_let_the_cleaning_end(
    number: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    former = signal.getsignal(number)
    cleaned: list[bool] = []

    def interrupted_twice() -> None:
        try:
            os.kill(os.getpid(), number)
            pytest.fail("not interrupted")
        finally:
            os.kill(os.getpid(), number)
            cleaned.append(True)

    with pytest.raises(KeyboardInterrupt), interrupted_once(b"cleaning up\n"):
        interrupted_twice()
    assert cleaned
    assert signal.getsignal(number) is former
    assert capfd.readouterr().err == "cleaning up\n"


def test_a_signal_waits_for_the_end_of_a_block_that_must_be_whole() -> None:
    made: list[str] = []

    def make() -> None:
        with deferring_interrupts():
            os.kill(os.getpid(), signal.SIGTERM)
            made.append("whole")
        made.append("too late")

    with pytest.raises(KeyboardInterrupt), interrupted_once(b""):
        make()
    assert made == ["whole"]
