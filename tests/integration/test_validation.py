"""Pipelines judged in a warm child of a real launcher: quick, bounded, and never in the way."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from minisched.domain.errors import InvalidPipelineConfig, OrchestratorUnavailable
from minisched.domain.pipeline import Document, Judgement
from minisched.domain.run import ProcessIdentity
from minisched.executor.launcher_client import LauncherClient
from minisched.executor.validation import ValidatingChildren
from tests.integration.launcher_process import LauncherProcess, launcher_with_standin
from tests.waiting import wait_until

GOOD: Document = {
    "name": "nightly",
    "pipelineType": "metadata",
    "service": {"name": "shop", "type": "databaseService"},
    "sourceConfig": {"config": {"type": "DatabaseMetadata"}},
    "openMetadataServerConnection": {"hostPort": "http://192.0.2.1:8585/api"},
}
CLASSES = {"usage": "endless:Workflow", "profiler": "fatal:Workflow", "lineage": "absent:Workflow"}


class Judged:
    """A judge over one launcher, and what a test may do to it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.launchers = contextlib.ExitStack()
        self.warmed: list[str] = []
        self.restart()
        self.judge = ValidatingChildren(
            connect=self._connect, launcher=self._process, warm=self.warmed.append, workflow_classes=CLASSES
        )

    def restart(self) -> None:
        self.launchers.close()
        modules = self._directory / "modules"
        modules.mkdir(exist_ok=True)
        (modules / "endless.py").write_text("while True: pass\n")
        (modules / "fatal.py").write_text("import os; os._exit(3)\n")
        start = contextlib.contextmanager(launcher_with_standin)
        self.launcher: LauncherProcess = self.launchers.enter_context(
            start(self._directory, "--path", str(modules), spares=0)
        )

    def close(self) -> None:
        self.judge.close()
        self.launchers.close()

    def of(self, **changes: Any) -> Judgement:
        return self.judge.judge({**GOOD, **changes}, runtime="main")

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.launcher.process.pid).children()

    def _connect(self, runtime: str) -> LauncherClient:
        assert runtime == "main"
        return LauncherClient(self.launcher.path)

    def _process(self, _runtime: str) -> ProcessIdentity:
        hello = self.launcher.hello
        return ProcessIdentity(hello["pid"], hello["start_ticks"], hello["boot_id"])


@pytest.fixture
def judged(tmp_path: Path) -> Iterator[Judged]:
    found = Judged(tmp_path)
    try:
        yield found
    finally:
        found.close()


def test_one_child_serves_many_and_leaves_when_it_is_not_wanted_any_more(judged: Judged) -> None:
    for _ in range(20):
        assert judged.of() == Judgement("unknown")
    [child] = judged.children()
    assert set(judged.warmed) == {"main"}
    judged.judge.close()
    child.wait(10)


def test_problems_are_refusals_with_a_line_each(judged: Judged) -> None:
    with pytest.raises(InvalidPipelineConfig) as refused:
        judged.of(pipelineType="application", sourceConfig={"config": {"appConfig": {"password": "hunter22"}}})
    assert str(refused.value) == "Missing parameter 'sourcePythonClass' in 'sourceConfig.config'"
    with pytest.raises(InvalidPipelineConfig, match="absent"):
        judged.of(pipelineType="lineage")
    judged.of()


def test_a_verdict_that_takes_too_long_is_none_and_the_next_pipeline_is_judged(judged: Judged) -> None:
    started = time.monotonic()
    with pytest.raises(OrchestratorUnavailable, match="no verdict in time"):
        judged.of(pipelineType="usage")
    assert time.monotonic() - started < 6
    judged.of()


def test_a_child_that_dies_over_a_pipeline_is_no_verdict(judged: Judged) -> None:
    judged.of()
    with pytest.raises(OrchestratorUnavailable, match="no verdict"):
        judged.of(pipelineType="profiler")
    judged.of()


def test_a_child_that_was_killed_or_stopped_is_replaced(judged: Judged) -> None:
    judged.of()
    [child] = judged.children()
    child.kill()
    wait_until(lambda: not judged.children(), timeout_s=10)
    judged.of()
    [child] = judged.children()
    os.kill(child.pid, signal.SIGSTOP)
    with pytest.raises(OrchestratorUnavailable, match="no verdict in time"):
        judged.of()
    judged.of()
    os.kill(child.pid, signal.SIGKILL)


def test_what_cannot_be_judged_is_no_refusal(judged: Judged) -> None:
    with pytest.raises(OrchestratorUnavailable, match=r"TypeError|AttributeError"):
        judged.of(sourceConfig=[1])
    judged.of()


def test_a_renewed_launcher_judges_by_its_own_models(judged: Judged) -> None:
    judged.of()
    judged.restart()
    judged.of()
    assert len(judged.children()) == 1


def test_many_callers_at_once_wait_for_each_other(judged: Judged) -> None:
    ready = threading.Barrier(8)

    def ask(_: int) -> Judgement:
        ready.wait()
        return judged.of()

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(8))) == {Judgement("unknown")}
    assert len(judged.children()) == 1


def test_a_large_pipeline_and_many_problems_fit_into_an_answer(judged: Judged) -> None:
    judged.of(sourceConfig={"config": {"filler": "x" * 5_000_000}})


def test_a_launcher_that_leaves_takes_its_validator_along(judged: Judged) -> None:
    judged.of()
    [child] = judged.children()
    judged.launcher.process.terminate()
    judged.launcher.process.wait(10)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
