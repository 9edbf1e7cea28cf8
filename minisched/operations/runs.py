"""Our own view of runs, for people and scripts that want to know more than OpenMetadata's six words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from minisched.domain.errors import NotFound, PipelineNotFound
from minisched.domain.log_gap import gap_line
from minisched.domain.outcome import stopped_in_queue
from minisched.domain.pipeline import Document, clean_name
from minisched.domain.queueing import Admission, Waiting, explained
from minisched.domain.run import Run, RunState, StopRequest
from minisched.operations.editing import is_uuid, not_found
from minisched.ports import Clock, DeploymentStore, Executor, PipelineStore, RunLogs, RunQuery, RunStore


@dataclass(frozen=True, slots=True)
class LogBytes:
    """A piece of a log; `next_offset` continues it, `size` is what there is so far.

    With `is_gap` the data is a line that stands for bytes which are not kept.
    """

    data: bytes
    next_offset: int
    size: int
    is_gap: bool = False


# What is looked at to say where a run stands; further back there is no telling.
MOST_QUEUED = 1000


@dataclass(frozen=True, slots=True)
class Queue:
    """Queued runs in the order in which they may start, under what the executor admits."""

    entries: list[tuple[Run, Waiting]]
    running: int
    admission: Admission


class Runs:
    def __init__(
        self,
        *,
        runs: RunStore,
        logs: RunLogs,
        executor: Executor,
        pipelines: PipelineStore,
        deployments: DeploymentStore,
        clock: Clock,
    ) -> None:
        self._runs = runs
        self._logs = logs
        self._executor = executor
        self._pipelines = pipelines
        self._deployments = deployments
        self._clock = clock

    def search(
        self,
        *,
        pipeline: str | None = None,
        states: Sequence[RunState] = (),
        limit: int = 50,
        before_ms: int | None = None,
    ) -> list[Run]:
        """Newest first; `pipeline` is an id, an FQN or the name of a deployment. Raises PipelineNotFound."""
        pipeline_id = None if pipeline is None else self.pipeline_id(pipeline)
        return self._runs.search(
            RunQuery(pipeline_id=pipeline_id, states=tuple(states), limit=limit, before_ms=before_ms)
        )

    def pipeline_id(self, key: str) -> str:
        """Of an id, an FQN or the name of a deployment. Raises PipelineNotFound unless it is an id."""
        if is_uuid(key):
            return key.lower()
        try:
            return self._pipelines.get_by_fqn(key).id
        except PipelineNotFound:
            pass
        for name in (key, _last_name(key)):
            deployment = self._deployments.find(clean_name(name))
            if deployment and key in (deployment.fqn, deployment.name, deployment.clean_name):
                return deployment.id
        raise not_found(key)

    def get(self, run_id: str) -> Run:
        """Raises NotFound, also for what is not a UUID: ids are never taken for anything else (no paths from input)."""
        if not is_uuid(run_id):
            raise NotFound(f"run instance for {run_id[:512]} not found")
        try:
            return self._runs.get(run_id.lower())
        except NotFound:
            raise NotFound(f"run instance for {run_id} not found") from None

    def queue(self, *, limit: int) -> Queue:
        """The first `limit` of it, looked at among at most MOST_QUEUED."""
        admission = self._executor.admission()
        running = self._runs.search(RunQuery(states=(RunState.RUNNING,), limit=MOST_QUEUED))
        entries = explained(self._runs.queue(limit=MOST_QUEUED), running, admission, self._clock.now())
        return Queue(entries[:limit], len(running), admission)

    def waiting(self, runs: Sequence[Run]) -> dict[str, Waiting]:
        """By id, why those of these runs wait that are queued."""
        if all(run.state is not RunState.QUEUED for run in runs):
            return {}
        return {run.id: waiting for run, waiting in self.queue(limit=MOST_QUEUED).entries}

    def steps(self, run: Run) -> list[Document]:
        """StepSummary objects: final ones of an ended run, live ones of a running run."""
        if run.state is RunState.RUNNING:
            return self._executor.live_counters(run.id)
        return run.steps

    def stop(self, run_id: str, *, user: str, why: str, wait_s: float = 0.0) -> Run:
        """Ask for the end of a run and give it `wait_s` to come; the run as it is then. An ended run stays as it is.

        Raises NotFound.
        """
        run = self.get(run_id)
        if run.is_terminal:
            return run
        stop = StopRequest(at=self._clock.now(), by=user, why=why)
        self._runs.request_stop([run.id], stop, stopped_in_queue(stop))
        self._executor.heed_stops()
        if wait_s > 0:
            self._executor.await_end([run.id], timeout_s=wait_s)
        return self.get(run.id)

    def read_log(self, run_id: str, *, offset: int, limit: int) -> LogBytes:
        """At most `limit` bytes from `offset`; empty at the end of what was written so far. Raises NotFound."""
        return self.log_of(self.get(run_id), offset=offset, limit=limit)

    def log_of(self, run: Run, *, offset: int, limit: int) -> LogBytes:
        """As `read_log`, of a run at hand."""
        data = self._logs.read(run.id, offset=offset, limit=limit)
        gap = 0 if data else self._logs.gap(run.id, offset=offset)
        size = self._logs.size(run.id)
        return LogBytes(gap_line(gap), offset + gap, size, True) if gap else LogBytes(data, offset + len(data), size)


def _last_name(fqn: str) -> str:
    """The name at the end of a fully qualified name, without its quotes."""
    if fqn.endswith('"'):
        return fqn[fqn.rfind('."') + 2 : -1].replace('\\"', '"')
    return fqn.rpartition(".")[2]
