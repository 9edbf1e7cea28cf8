"""The Python client of openmetadata-ingestion, pointed at a real server: it notices no difference."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from minisched.cli.sample_database import create_sample_database
from minisched.cli.server_process import ServerProcess
from minisched.domain.pipeline import Document

pytestmark = [pytest.mark.real_runtime, pytest.mark.timeout(600)]

TOUR = Path(__file__).parent / "client_tour.py"


@pytest.fixture(scope="module")
def tour(tmp_path_factory: pytest.TempPathFactory, real_runtime: Path) -> Iterator[Document]:
    """What the client told of its visit."""
    directory = tmp_path_factory.mktemp("client")
    database = directory / "shop.db"
    create_sample_database(database)
    with ServerProcess(directory / "data", {"MINISCHED_RUNTIME__DEFAULT": str(real_runtime)}) as process:
        process.wait_until_live()
        process.wait_until_warm(120)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        token = _admin_token(directory / "data", environment)
        done = subprocess.run(
            [str(real_runtime), str(TOUR), process.url, token, str(database)],
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
            cwd=directory,
            env=environment,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        yield json.loads(done.stdout.splitlines()[-1])


def _admin_token(data_dir: Path, environment: dict[str, str]) -> str:
    """What a script is given that manages pipelines; the client takes it for the JWT of a bot."""
    done = subprocess.run(
        [sys.executable, "-m", "minisched", "token", "create", "tour", "--role", "admin"],
        check=True,
        capture_output=True,
        text=True,
        env={**environment, "MINISCHED_DATA_DIR": str(data_dir)},
    )
    return done.stdout.strip()


def test_it_creates_finds_lists_patches_and_restores(tour: Document) -> None:
    assert tour["entities"] == {
        "fqn": '"tour.shop"."night.ly"',
        "same": True,
        "listed": ["more 0", "more 1", "more 2", "night.ly"],
        "description": "patched by the client",
        "schedule": "0 4 * * *",
        "version": 0.2,
        "versions": 2,
        "gone": True,
        "restored": True,
    }


def test_every_answer_is_one_of_openmetadata(tour: Document) -> None:
    assert tour["shapes"] == {"read": "13"}


def test_it_writes_and_reads_statuses(tour: Document) -> None:
    assert tour["statuses"] == {"unknown": True, "state": "success", "between": [True]}


def test_it_tells_progress_and_sends_logs(tour: Document) -> None:
    assert tour["progress"] == {"nothing": True, "label": "shop"}
    assert tour["logs"] == {"sent": 403, "first": True, "last": True}


def test_it_deploys_triggers_and_deletes(tour: Document) -> None:
    assert tour["runs"] == {
        "deployed": 200,
        "triggered": 200,
        "state": "success",
        "log": True,
        "progress": "PIPELINE_COMPLETE",
        "same log": True,
        "said twice": False,
        "left": ["more 0", "more 1", "more 2"],
        "left without the service": 0,
    }
