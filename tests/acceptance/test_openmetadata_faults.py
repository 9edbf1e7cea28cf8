"""An OpenMetadata that misbehaves: every end of a run is heard at least once, in order, and nothing hangs (R7)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from minisched.clients.openmetadata import OpenMetadataReporter
from minisched.clients.openmetadata_http import Timeouts
from minisched.domain.outcome import outcome
from minisched.domain.pipeline import Deployment
from minisched.domain.run import Run, RunReason, RunState
from minisched.executor.reporting import OutboxOptions, OutboxSender
from minisched.store import migrations
from minisched.store.deployments import SqlDeploymentStore
from minisched.store.engine import open_database
from minisched.store.outbox import SqlOutbox
from minisched.store.runs import SqlRunStore
from minisched.store.secrets import SecretBox, new_key
from minisched.system_clock import SystemClock
from tests.acceptance.bad_openmetadata import FAULTS, BadOpenMetadata, bad_openmetadata
from tests.acceptance.served_runs import served_runs
from tests.store_kinds import a_run
from tests.waiting import wait_until

CONNECT_S, READ_S = 0.2, 0.4
# Of one call; a message takes two.
DEADLINE_S = CONNECT_S + READ_S
FIRST_DELAY_S, LONGEST_DELAY_S, MAX_AGE_S = 0.05, 0.2, 60.0
KILLED = outcome(RunState.FAILED, RunReason.SIGNAL, "killed by signal 9")


@pytest.fixture
def openmetadata() -> Iterator[BadOpenMetadata]:
    with bad_openmetadata() as server:
        yield server


class Sending:
    """The outbox over a real database, and the thread that empties it."""

    def __init__(self, directory: Path, openmetadata: BadOpenMetadata) -> None:
        self._url = f"sqlite:///{directory / 'minisched.db'}"
        self._openmetadata = openmetadata
        self._box = SecretBox([new_key()])
        self._reporter = OpenMetadataReporter(
            complete=lambda document: document, timeouts=Timeouts(CONNECT_S, READ_S), server_version=lambda _: None
        )
        self.max_age_s = MAX_AGE_S
        migrations.prepare(self._url)
        self._open()

    def _open(self) -> None:
        clock = SystemClock()
        self._database = open_database(self._url)
        self._runs = SqlRunStore(self._database, self._box, clock)
        self._deployments = SqlDeploymentStore(self._database, self._box)
        self.outbox = SqlOutbox(self._database)
        self.sender = OutboxSender(
            outbox=self.outbox,
            runs=self._runs,
            deployments=self._deployments,
            reporter=self._reporter,
            clock=clock,
            options=OutboxOptions(FIRST_DELAY_S, LONGEST_DELAY_S, self.max_age_s, poll_s=0.02),
        )

    def restart(self) -> None:
        self.stop()
        self._open()
        self.sender.start()

    def deploy(self, run: Run, *, token: str = "t", hosted_by: BadOpenMetadata | None = None) -> None:
        document = {
            "id": run.pipeline_id,
            "name": run.pipeline_name,
            "fullyQualifiedName": run.pipeline_fqn,
            "openMetadataServerConnection": (hosted_by or self._openmetadata).connection(token),
        }
        deployment = Deployment(
            run.pipeline_id, run.pipeline_name, run.pipeline_fqn, "metadata", document, True, datetime.now(UTC)
        )
        self._deployments.upsert(deployment)

    def end_a_run(self, *, token: str = "t", hosted_by: BadOpenMetadata | None = None) -> Run:
        """A run that was killed: OpenMetadata does not know of it yet."""
        name = f"nightly_{uuid4().hex[:8]}"
        run = a_run(pipeline_name=name, pipeline_fqn=f"shop.{name}", enqueued_at=datetime.now(UTC))
        self.deploy(run, token=token, hosted_by=hosted_by)
        self._runs.enqueue(run)
        assert self._runs.claim(slots=10_000) is not None
        return self._runs.finish(run.id, KILLED, ended_at=datetime.now(UTC))

    def pending(self) -> list[Any]:
        return self.outbox.pending(limit=1000)

    def stop(self) -> None:
        self.sender.close()
        self._database.close()

    def close(self) -> None:
        self.stop()
        self._reporter.close()


@pytest.fixture
def sending(tmp_path: Path, openmetadata: BadOpenMetadata) -> Iterator[Sending]:
    with closing(Sending(tmp_path, openmetadata)) as found:
        found.sender.start()
        yield found


@pytest.mark.parametrize("fault", FAULTS)
def test_every_end_is_heard_once_the_server_is_well_again(
    sending: Sending, openmetadata: BadOpenMetadata, fault: str
) -> None:
    openmetadata.mode = fault
    runs = [sending.end_a_run() for _ in range(2)]
    wait_until(lambda: all(entry.attempts >= 2 for entry in sending.pending()), timeout_s=20)
    assert {entry.run_id for entry in sending.pending()} == {run.id for run in runs}
    assert all(entry.last_error and not entry.dead for entry in sending.pending())
    openmetadata.mode = "good"
    wait_until(lambda: not sending.pending(), timeout_s=20)
    assert {run.id: openmetadata.double.ends_of(run.id) for run in runs} == {run.id: ["failed"] for run in runs}


@pytest.mark.parametrize("fault", ["hang", "drip", "drip_body", "flood"])
def test_an_attempt_is_over_in_time_however_the_server_drags_it_out(
    sending: Sending, openmetadata: BadOpenMetadata, fault: str
) -> None:
    openmetadata.mode = fault
    began = time.monotonic()
    sending.end_a_run()
    wait_until(lambda: sending.pending()[0].attempts == 1, timeout_s=10)
    assert time.monotonic() - began < 2 * DEADLINE_S + 1


def test_a_server_that_only_takes_part_of_the_message_gets_it_again(
    sending: Sending, openmetadata: BadOpenMetadata
) -> None:
    """The status was stored, but the answer never came: at least once, and the same."""
    run = sending.end_a_run()
    wait_until(lambda: not sending.pending())
    openmetadata.mode = "hang_up"
    another = sending.end_a_run()
    wait_until(lambda: sending.pending()[0].attempts >= 1)
    openmetadata.mode = "good"
    wait_until(lambda: not sending.pending())
    assert openmetadata.double.ends_of(run.id) == openmetadata.double.ends_of(another.id) == ["failed"]


def test_nobody_listens_and_then_somebody_does(sending: Sending, tmp_path: Path) -> None:
    with bad_openmetadata() as gone:
        pass
    run = sending.end_a_run(hosted_by=gone)
    wait_until(lambda: sending.pending()[0].attempts >= 3)
    assert "does not answer" in sending.pending()[0].last_error
    sending.deploy(run)
    wait_until(lambda: not sending.pending())


def test_a_token_that_expired_is_replaced_by_deploying_again(sending: Sending, openmetadata: BadOpenMetadata) -> None:
    openmetadata.token = "new"
    run = sending.end_a_run(token="old")
    wait_until(lambda: sending.pending()[0].attempts >= 2)
    assert "401" in sending.pending()[0].last_error
    assert "Deploy the pipeline again" in sending.pending()[0].last_error
    assert openmetadata.double.ends_of(run.id) == []
    sending.deploy(run, token="new")
    wait_until(lambda: not sending.pending())
    assert openmetadata.double.ends_of(run.id) == ["failed"]


def test_a_silent_server_does_not_keep_another_one_from_hearing(
    sending: Sending, openmetadata: BadOpenMetadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minisched.executor.reporting._SILENT_AFTER_S", DEADLINE_S / 4)
    openmetadata.mode = "hang"
    silent = [sending.end_a_run() for _ in range(30)]
    with bad_openmetadata() as well:
        began = time.monotonic()
        run = sending.end_a_run(hosted_by=well)
        wait_until(lambda: well.double.ends_of(run.id) == ["failed"], timeout_s=30)
        assert time.monotonic() - began < 10 * DEADLINE_S
    wait_until(lambda: {entry.run_id for entry in sending.pending()} == {run.id for run in silent})


def test_what_was_not_delivered_survives_a_restart(sending: Sending, openmetadata: BadOpenMetadata) -> None:
    openmetadata.mode = "server_error"
    run = sending.end_a_run()
    wait_until(lambda: sending.pending()[0].attempts >= 1)
    sending.restart()
    openmetadata.mode = "good"
    wait_until(lambda: not sending.pending())
    assert openmetadata.double.ends_of(run.id) == ["failed"]


def test_a_sender_that_waits_for_an_answer_leaves_when_it_is_told_to(
    sending: Sending, openmetadata: BadOpenMetadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minisched.executor.reporting._LEAVE_S", 0.05)
    openmetadata.mode = "hang"
    sending.end_a_run()
    wait_until(lambda: openmetadata.attempts)
    began = time.monotonic()
    sending.sender.close()
    assert time.monotonic() - began < READ_S
    wait_until(lambda: sending.pending()[0].attempts == 1)  # the thread ends by itself


def test_waits_grow_and_are_never_the_same(
    sending: Sending, openmetadata: BadOpenMetadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: dict[int, list[float]] = {}
    postpone = sending.outbox.postpone

    def noting(entry_id: int, *, error: str, next_at: datetime, dead: bool = False) -> None:
        waits.setdefault(entry_id, []).append((next_at - datetime.now(UTC)).total_seconds())
        postpone(entry_id, error=error, next_at=next_at, dead=dead)

    monkeypatch.setattr(sending.outbox, "postpone", noting)
    openmetadata.mode = "server_error"
    for _ in range(8):
        sending.end_a_run()
    wait_until(lambda: len(waits) == 8 and all(len(found) >= 4 for found in waits.values()), timeout_s=20)
    first, third = ([found[attempt] for found in waits.values()] for attempt in (0, 2))
    assert max(first) <= FIRST_DELAY_S
    assert max(first) < max(third) <= LONGEST_DELAY_S
    assert len({round(wait, 3) for wait in third}) > 3


class TestThroughTheServer:
    """With the settings of a server that is told of OpenMetadata by them."""

    def test_the_server_works_on_while_openmetadata_hangs(self, tmp_path: Path, openmetadata: BadOpenMetadata) -> None:
        settings = {
            "OPENMETADATA__HOST_PORT": openmetadata.url,
            "OPENMETADATA__JWT_TOKEN": "t",
            "OPENMETADATA__CONNECT_TIMEOUT_S": "0.5",
            "OPENMETADATA__READ_TIMEOUT_S": "1",
            "OUTBOX__FIRST_DELAY_S": "0.1",
            "OUTBOX__MAX_DELAY_S": "0.5",
        }
        with served_runs(tmp_path, **settings) as server:
            pipeline = server.deployed_with({"workflowTimeout": 2}, reports_itself=True)
            killed = server.deployed("leave_midway")
            openmetadata.mode = "hang"
            # This one hangs in its own call to OpenMetadata, before it does anything else.
            late = server.ended(server.trigger(pipeline), timeout_s=15)
            assert (late["state"], late["reason"]) == ("failed", "timed_out")
            assert late["evidence"]["exit"]["pids_left"] == 0
            lost = server.trigger(killed)
            wait_until(lambda: server.run(lost)["state"] == "running")
            server.stop_run(lost)
            waiting = wait_until(lambda: [entry for entry in server.outbox() if entry["attempts"] >= 1], timeout_s=20)
            assert "does not answer" in waiting[0]["lastError"]
            began = time.monotonic()
            assert server.terminate() == 0
            assert time.monotonic() - began < 10
            server.start()
            assert {entry["runId"] for entry in server.outbox()} == {late["id"], lost}
            openmetadata.mode = "good"
            wait_until(lambda: not server.outbox(), timeout_s=20)
            assert openmetadata.double.ends_of(late["id"]) == ["failed"]
            assert openmetadata.double.ends_of(lost) == ["stopped"]

    @pytest.mark.parametrize("fault", ["reset", "hang_up", "restarting"])
    def test_a_run_that_starts_while_openmetadata_restarts_waits_for_it(
        self, tmp_path: Path, openmetadata: BadOpenMetadata, fault: str
    ) -> None:
        with served_runs(tmp_path, OPENMETADATA__HOST_PORT=openmetadata.url, OPENMETADATA__JWT_TOKEN="t") as server:
            pipeline = server.deployed()
            openmetadata.mode = fault
            run_id = server.trigger(pipeline)
            wait_until(lambda: "is asked again" in server.run_log(run_id))
            openmetadata.mode = "good"
            assert server.ended(run_id)["state"] == "success"

    def test_a_message_that_is_too_old_is_given_up_and_shown(
        self, tmp_path: Path, openmetadata: BadOpenMetadata
    ) -> None:
        settings = {
            "OPENMETADATA__HOST_PORT": openmetadata.url,
            "OPENMETADATA__JWT_TOKEN": "t",
            "OUTBOX__FIRST_DELAY_S": "0.1",
            "OUTBOX__MAX_DELAY_S": "0.2",
            "OUTBOX__MAX_AGE_S": "1",
        }
        with served_runs(tmp_path, **settings) as server:
            pipeline = server.deployed("leave_midway")
            openmetadata.mode = "server_error"
            run_id = server.trigger(pipeline)
            dead = wait_until(lambda: [entry for entry in server.outbox() if entry["dead"]], timeout_s=20)
            assert [entry["runId"] for entry in dead] == [run_id]
            assert dead[0]["attempts"] > 2
            assert "answered 500" in dead[0]["lastError"]
            attempts = len(openmetadata.attempts)
            openmetadata.mode = "good"
            second = server.trigger(pipeline)
            wait_until(lambda: openmetadata.double.ends_of(second) == ["failed"], timeout_s=20)
            assert openmetadata.double.ends_of(run_id) == []
            assert not any(run_id in attempt for attempt in openmetadata.attempts[attempts:])
            wait_until(lambda: [entry["runId"] for entry in server.outbox()] == [run_id])
