"""The database is locked, gone, or cuts connections: the server says so, loses nothing, and goes on by itself."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from minisched.store import migrations
from tests.acceptance.history import History, Intention, violations
from tests.acceptance.openmetadata_double import OpenMetadataDouble, openmetadata_double
from tests.acceptance.server_process import PIPELINES, TERMINAL, ServerProcess, server_process
from tests.databases import SERVERS, Server
from tests.waiting import wait_until

LINES = 10
BUSY_TIMEOUT_S = 1
CUTS = 25


@contextmanager
def served(directory: Path, url: str | None = None) -> Iterator[tuple[ServerProcess, OpenMetadataDouble]]:
    """A started server that waits for its database only shortly."""
    settings = {"DATABASE__BUSY_TIMEOUT_S": str(BUSY_TIMEOUT_S), "EXECUTOR__SLOTS": "4", "OUTBOX__MAX_DELAY_S": "2"}
    if url is not None:
        settings["DATABASE__URL"] = url
    with openmetadata_double() as heard:
        settings |= {"OPENMETADATA__HOST_PORT": heard.url, "OPENMETADATA__JWT_TOKEN": "a-token"}
        with server_process(directory, **settings) as server:
            server.start()
            yield server, heard


@pytest.fixture
def empty_url(request: pytest.FixtureRequest) -> Iterator[tuple[Server, str]]:
    """A database of this test alone on the server of the given kind."""
    database: Server = request.getfixturevalue(f"{request.param}_server")
    name = f"outage_{uuid4().hex[:12]}"
    url = database.create(name)
    migrations.upgrade(url)
    yield database, name
    database.drop(name)


def ask(server: ServerProcess, intention: Intention) -> httpx.Response:
    path = f"{PIPELINES}/trigger/{intention.pipeline_id}"
    answer = server.http.post(path, headers={"Idempotency-Key": intention.key})
    if answer.status_code == 200:
        intention.answered.add(answer.json()["runId"])
    return answer


def is_answered(server: ServerProcess, intention: Intention) -> bool:
    return ask(server, intention).status_code == 200


def assert_come_back_later(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.json()["code"] == 503


def assert_unharmed(
    server: ServerProcess, heard: OpenMetadataDouble, history: History, intentions: list[Intention]
) -> None:
    """Repeated with their keys, all intentions are met, and the history has no contradiction."""
    for intention in intentions:
        wait_until(partial(is_answered, server, intention), timeout_s=30)
    wait_until(lambda: all(run["state"] in TERMINAL for run in server.runs()), timeout_s=60, every_s=0.1)
    wait_until(lambda: not server.outbox(), timeout_s=30, every_s=0.1)
    assert violations(history, server, heard, lines=LINES) == []
    assert len(server.runs()) == len(history.intentions)


def go_through_an_outage(server: ServerProcess, heard: OpenMetadataDouble, outage: Any) -> None:
    """One run ends meanwhile, one goes on, one is queued, one is to be stopped; new ones are asked for."""
    history = History()
    talking, hanging = server.deployed("talk", lines=LINES, every_s=0.1), server.deployed("hang")
    wanted = [history.intend(f"key-{number}", pipeline["id"]) for number, pipeline in enumerate([talking] * 3)]
    hung = history.intend("hung", hanging["id"])
    for intention in (wanted[0], wanted[1], hung):
        assert ask(server, intention).status_code == 200
    [hung_run], [first_run] = hung.answered, wanted[0].answered
    history.stopped.add(hung_run)
    server.started(hung_run)
    ends_meanwhile = server.started(first_run)
    with outage:
        assert_come_back_later(ask(server, wanted[2]))
        assert_come_back_later(server.http.post(f"{PIPELINES}/kill/{hanging['id']}"))
        assert server.http.get("/health/live").status_code == 200
        wait_until(lambda: not ends_meanwhile.living(), timeout_s=30)
    wait_until(lambda: server.http.post(f"{PIPELINES}/kill/{hanging['id']}").status_code != 503, timeout_s=30)
    assert server.ended(hung_run)["state"] == "stopped"
    assert_unharmed(server, heard, history, wanted)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another connection writes and does not come to an end."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def test_a_locked_sqlite_file(tmp_path: Path) -> None:
    with served(tmp_path) as (server, heard):
        go_through_an_outage(server, heard, locked(server.data / "minisched.db"))


@pytest.mark.parametrize("empty_url", SERVERS, indirect=True)
def test_a_database_server_that_is_stopped_and_started_again(tmp_path: Path, empty_url: tuple[Server, str]) -> None:
    database, name = empty_url
    with served(tmp_path, database.url(name)) as (server, heard):
        go_through_an_outage(server, heard, database.stopped())
        assert server.http.get("/health/ready").status_code == 200


@pytest.mark.parametrize("empty_url", SERVERS, indirect=True)
def test_connections_that_are_cut_in_the_middle_of_everything(tmp_path: Path, empty_url: tuple[Server, str]) -> None:
    """Triggers from several clients, runs that start and end, and every connection cut again and again."""
    database, name = empty_url
    with served(tmp_path, database.url(name)) as (server, heard):
        history, over = History(), threading.Event()
        pipelines = [server.deployed("talk", lines=LINES, every_s=0.02) for _ in range(6)]
        unanswered: list[Intention] = []

        def keep_asking(pipeline: dict[str, Any]) -> None:
            while not over.wait(0.05):
                intention = history.intend(uuid4().hex, pipeline["id"])
                answer = ask(server, intention)
                assert answer.status_code in (200, 503), answer.text
                if answer.status_code == 503:
                    unanswered.append(intention)
                over.wait(0.3)

        with ThreadPoolExecutor(len(pipelines)) as pool:
            clients = [pool.submit(keep_asking, pipeline) for pipeline in pipelines]
            cut = 0
            for _ in range(CUTS):
                cut += database.cut(name)
                over.wait(0.15)
            over.set()
            for client in clients:
                client.result()
        assert cut > CUTS
        assert_unharmed(server, heard, history, unanswered)
        print(f"\n{database.kind}: {cut} connections cut, {len(history.intentions)} triggers, {len(unanswered)} of 503")
