"""An executor over a real SQLite store and a real launcher of the stand-in package, as the server composes it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from minisched.domain.pipeline import Document
from minisched.domain.run import Run, RunKind
from minisched.executor.launcher_start import LauncherOptions, RuntimeSpec
from minisched.executor.launchers import Launcher
from minisched.executor.run_directory import RunDirectories
from minisched.executor.supervisor import Supervisor
from minisched.executor.supervisor_options import SupervisorOptions
from minisched.store import migrations
from minisched.store.engine import open_database
from minisched.store.runs import SqlRunStore
from minisched.store.secrets import SecretBox, new_key

STANDIN = Path(__file__).parents[1] / "standin"
RUNTIME = "default"


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass
class SupervisedNode:
    """`start` and `close` may be repeated: a new supervisor over the same data, as after a restart."""

    data: Path
    slots: int = 2
    grace_s: float = 2.0
    timeout_s: float | None = None
    python: Path = Path(sys.executable)
    finished: list[Run] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.data / "launchers").mkdir(parents=True, exist_ok=True)
        self.url = f"sqlite:///{self.data / 'minisched.db'}"
        migrations.prepare(self.url)
        self.database = open_database(self.url)
        self.runs = SqlRunStore(self.database, SecretBox([new_key()]), SystemClock())
        self.directories = RunDirectories(self.data / "runs")
        self.job_of: Callable[[Run], Document] = lambda run: {**run.overrides, "run_id": run.id}
        self.supervisor = self._supervisor()

    def _supervisor(self) -> Supervisor:
        supervisor = Supervisor(
            runs=self.runs,
            directories=self.directories,
            launcher_of=lambda name: Launcher(
                name,
                lambda name: RuntimeSpec(name, self.python, "0.0.1", "standin"),
                self.data / "launchers",
                LauncherOptions(spares=1, linger_s=30, python_path=(str(STANDIN),)),
                lambda: supervisor.wake(),
            ),
            default_runtime=RUNTIME,
            job_of=lambda run: self.job_of(run),
            options=SupervisorOptions(slots=self.slots, grace_s=self.grace_s, timeout_s=self.timeout_s, poll_s=0.2),
            clock=SystemClock(),
            on_finished=self.finished.append,
        )
        return supervisor

    def start(self) -> None:
        self.supervisor.start()

    def restart(self) -> None:
        """What a new server does after the old one is gone."""
        self.supervisor = self._supervisor()
        self.supervisor.start()

    def close(self) -> None:
        self.supervisor.close()
        self.database.close()

    def directories_of_runs(self) -> list[str]:
        """Ids of the runs that have files."""
        return [path.name for path in (self.data / "runs").glob("*/*")]

    def enqueue(
        self, behaviour: str | None = None, *, timeout_s: int | None = None, wake: bool = True, **options: Any
    ) -> Run:
        """A queued run of a stand-in workflow that behaves like this."""
        pipeline = str(uuid4())
        source = {"behaviour": behaviour, **options}
        run = Run(
            id=str(uuid4()),
            pipeline_id=pipeline,
            pipeline_fqn=f"svc.{pipeline}",
            pipeline_name=pipeline,
            pipeline_type="metadata",
            service_fqn="svc",
            kind=RunKind.MANUAL,
            enqueued_at=datetime.now(UTC),
            timeout_s=timeout_s,
            runtime=RUNTIME,
            overrides={"task": "workflow", "workflow": "metadata", "config": {"source": source}},
        )
        self.runs.enqueue(run)
        if wake:
            self.supervisor.wake()
        return run

    def ended(self, run: Run, timeout_s: float = 30.0) -> Run:
        """The run when it is terminal."""
        assert self.supervisor.await_end([run.id], timeout_s=timeout_s), self.runs.get(run.id)
        return self.runs.get(run.id)
