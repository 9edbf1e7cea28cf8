"""A log that grows beyond its limit keeps its beginning and its end, and the disk is spared; no offset ever moves."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from minisched.cli.credentials import basic
from minisched.cli.run_log import follow_log
from minisched.cli.server import Server
from minisched.worker import protocol
from tests.acceptance.served_runs import ServedRuns, served_runs
from tests.acceptance.server_process import PIPELINES
from tests.credentials import ADMIN
from tests.waiting import wait_until

LIMIT = 8 * 1024 * 1024
# Lines of 1024 bytes: 200 MB.
LINES = 200 * 1024
SIZE = LINES * 1024
GAP = re.compile(rb"\n\xe2\x80\xa6 (\d+) bytes dropped \xe2\x80\xa6\n")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedRuns]:
    with served_runs(tmp_path_factory.mktemp("logs"), EXECUTOR__LOG_LIMIT_MB=str(LIMIT // 2**20)) as runs:
        yield runs


@pytest.fixture(scope="module")
def long_run(server: ServedRuns) -> str:
    """A run that has written 200 MB as fast as it could, and more than once."""
    run_id = server.begin("big_log", lines=LINES)
    assert server.ended(run_id, timeout_s=60)["state"] == "success"
    return run_id


def log_file(server: ServedRuns, run_id: str) -> Path:
    return server.run_dir(run_id) / protocol.LOG_FILE


def on_disk(path: Path) -> int:
    return path.stat().st_blocks * 512


def test_the_disk_holds_no_more_than_the_limit(server: ServedRuns, long_run: str) -> None:
    path = log_file(server, long_run)
    assert path.stat().st_size > SIZE
    assert LIMIT // 2 < on_disk(path) <= LIMIT + 256 * 1024
    record = server.run(long_run)["evidence"]["exit"]
    assert record["log_bytes"] == path.stat().st_size
    assert record["log_bytes"] - record["log_dropped_bytes"] <= LIMIT + 128 * 1024


def test_the_beginning_and_the_end_are_as_they_were_written(server: ServedRuns, long_run: str) -> None:
    log = server.whole_log(long_run)
    gaps = list(GAP.finditer(log))
    assert len(gaps) == 1
    head, tail = log[: gaps[0].start()], log[gaps[0].end() :]
    assert len(head) + int(gaps[0][1]) + len(tail) == log_file(server, long_run).stat().st_size
    assert b"\0" not in log
    first = [int(line[:12]) for line in head.splitlines() if len(line) == 1023]
    last = [int(line[:12]) for line in tail.splitlines() if len(line) == 1023]
    assert first == list(range(len(first)))
    assert last == list(range(LINES - len(last), LINES))
    assert min(len(first), len(last)) > 1024
    assert b"executing at" in head
    assert b"Workflow finished" in tail


def test_an_offset_in_what_was_dropped_leads_to_what_was_kept(server: ServedRuns, long_run: str) -> None:
    answer = server.http.get(f"/api/v1/minisched/runs/{long_run}/log", params={"offset": SIZE // 2})
    following = int(answer.headers["X-Minisched-Next-Offset"])
    assert GAP.fullmatch(answer.content)
    assert following - SIZE // 2 == int(GAP.fullmatch(answer.content)[1])  # type: ignore[index]
    tail = server.http.get(f"/api/v1/minisched/runs/{long_run}/log", params={"offset": following}).content
    assert len(tail) > 1024 * 1024
    assert tail in server.whole_log(long_run)


def test_the_pages_of_openmetadata_skip_what_was_dropped(server: ServedRuns, long_run: str) -> None:
    pipeline_id = server.run(long_run)["pipelineId"]
    pages: list[str] = []
    after, total = "0", 0
    while after:
        page = server.http.get(f"{PIPELINES}/logs/{pipeline_id}/last", params={"after": after}).json()
        pages.append(page["ingestion_task"])
        after, total = page.get("after"), int(page["total"])
    assert len(pages) < 10 < total
    assert "".join(pages).encode() == server.whole_log(long_run)


def test_a_stream_of_events_jumps_over_what_was_dropped(server: ServedRuns, long_run: str) -> None:
    parts: list[bytes] = []
    with Server(server.url, authorization=basic(*ADMIN)) as client:
        follow_log(client, long_run, parts.append)
    assert b"".join(parts) == server.whole_log(long_run)


def test_the_disk_is_spared_while_the_run_goes_on_and_a_reader_loses_no_place(server: ServedRuns) -> None:
    run_id = server.begin("big_log", lines=LINES, then_hang=True)
    path = log_file(server, run_id)
    over, largest = threading.Event(), [0]

    def watch() -> None:
        while not over.wait(0.02):
            largest[0] = max(largest[0], on_disk(path))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        offsets = [0]
        while path.stat().st_size < SIZE:
            answer = server.http.get(f"/api/v1/minisched/runs/{run_id}/log", params={"offset": offsets[-1]})
            assert b"\0" not in answer.content
            offsets.append(int(answer.headers["X-Minisched-Next-Offset"]))
        assert offsets == sorted(offsets)
        server.note(run_id, "main")
        wait_until(lambda: on_disk(path) <= LIMIT * 1.1)
    finally:
        over.set()
        watcher.join()
    assert server.run(run_id)["state"] == "running"
    # What can be written between two looks of the guard comes on top.
    assert largest[0] < SIZE
    print(f"at most {largest[0] / 2**20:.0f} MB of {SIZE / 2**20:.0f} MB on the disk")
    assert server.stop_run(run_id)["state"] == "stopped"
    assert b"the run ends: stop" in server.whole_log(run_id)


def test_a_log_below_the_limit_is_whole(server: ServedRuns) -> None:
    run_id = server.begin("big_log", lines=6 * 1024)
    server.ended(run_id)
    log = server.whole_log(run_id)
    assert log == log_file(server, run_id).read_bytes()
    assert not GAP.search(log)
    assert log_file(server, run_id).stat().st_size == len(log)
