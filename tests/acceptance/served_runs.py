"""A server whose runs misbehave: what a client sees of them, and what /proc and the run directory say."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from minisched.worker import protocol
from tests.acceptance.server_process import PIPELINES, RUNS, ServerProcess, pipeline_request
from tests.waiting import wait_until

Document = dict[str, Any]

GRACE_S = 1.0


class ServedRuns(ServerProcess):
    """`ServerProcess` with eyes for single runs."""

    def begin(self, behaviour: str | None = None, *, timeout_s: int | None = None, **options: Any) -> str:
        """A run of a pipeline of its own; its id."""
        return self.trigger(self.deployed_with({"workflowTimeout": timeout_s}, behaviour, **options))

    def deployed_with(self, airflow_config: Document, behaviour: str | None = None, **options: Any) -> Document:
        """A pipeline with these limits."""
        request = pipeline_request(behaviour, **options)
        request["airflowConfig"].update({key: value for key, value in airflow_config.items() if value is not None})
        return self.deployed_as(request)

    def deployed_as(self, request: Document) -> Document:
        answer = self.http.post(PIPELINES, json=request)
        assert answer.status_code == 201, answer.text
        pipeline = dict(answer.json())
        self.deploy(pipeline)
        return pipeline

    def stop_run(self, run_id: str) -> Document:
        """Stop the run and wait for its end; the run."""
        answer = self.http.post(f"{RUNS}/{run_id}/stop", json={"why": "enough"})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def ended(self, run_id: str, timeout_s: float = 30.0) -> Document:
        return super().ended(run_id, timeout_s)

    def whole_log(self, run_id: str) -> bytes:
        """Piece by piece, as a client reads it that continues where the server says."""
        return b"".join(self.log_pieces(run_id))

    def log_pieces(self, run_id: str) -> Iterator[bytes]:
        offset = 0
        while True:
            answer = self.http.get(f"{RUNS}/{run_id}/log", params={"offset": offset}).raise_for_status()
            following = int(answer.headers["X-Minisched-Next-Offset"])
            if not answer.content:
                assert following == offset == int(answer.headers["X-Minisched-Log-Size"])
                return
            assert following > offset
            yield answer.content
            offset = following

    # --- behind its back --------------------------------------------------------------------------------------------

    def run_dir(self, run_id: str) -> Path:
        """The run's directory, as soon as the run has processes."""
        return self.started(run_id).directory

    def guard(self, run_id: str) -> int:
        return int(self.started(run_id).guard["pid"])

    def runner(self, run_id: str) -> int:
        return int(self.started(run_id).runner["pid"])

    def note(self, run_id: str, name: str, timeout_s: float = 30.0) -> int:
        """The pid that the workflow wrote down under this name."""
        path = self.run_dir(run_id) / protocol.TMP_DIR / f"{name}.pid"
        wait_until(path.exists, timeout_s=timeout_s)
        return int(path.read_text())

    def launcher(self) -> int:
        """The pid of the one launcher; what it has just forked still has its name."""
        wait_until(lambda: len(self._first_launchers()) == 1)
        return self._first_launchers().pop()

    def _first_launchers(self) -> set[int]:
        found = {process.pid for process in self.launchers()}
        with contextlib.suppress(psutil.NoSuchProcess):
            return {pid for pid in found if psutil.Process(pid).ppid() not in found}
        return set()


@contextmanager
def served_runs(directory: Path, *, authorization: str | None = None, **settings: str) -> Iterator[ServedRuns]:
    """Serves and is warm; nothing is left of it afterwards. `authorization` is for an admin of another password."""
    small = {"EXECUTOR__STOP_GRACE_S": str(GRACE_S), "EXECUTOR__SLOTS": "8"}
    server = ServedRuns(directory, {**small, **settings})
    if authorization is not None:
        server.http.headers["authorization"] = authorization
    try:
        server.start()
        server.make_service()
        yield server
    finally:
        server.close()
