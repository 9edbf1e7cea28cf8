"""`kill -9` of whatever is there, at random, while runs are triggered and schedules fire; then the history is checked.

Half a minute as a rule. MINISCHED_LONG=500 goes on until there were so many kills, MINISCHED_SEED repeats what a seed
did as far as processes let it.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.acceptance.history import History, Intention, violations
from tests.acceptance.openmetadata_double import openmetadata_double
from tests.acceptance.server_process import PIPELINES, TERMINAL, ServerProcess, server_process
from tests.credentials import ADMIN
from tests.waiting import wait_until

KILLS = int(os.environ.get("MINISCHED_LONG", "0"))
SEED = int(os.environ.get("MINISCHED_SEED", "20260301"))
FOR_S = 20.0
SLOW_MACHINE_S = 100.0
PIPELINE_COUNT = 12
# Runs that wait or run at once, so that the end of the test does not wait for a long queue.
MOST_ACTIVE = 8
LINES = 8
VICTIMS = ["server"] * 3 + ["launcher"] * 2 + ["guard"] * 3 + ["runner"] * 4
ACCOUNTED_WITHIN_S = 10.0
LONGEST_RUN_S = 2.0


class Chaos:
    """A server under fire: `asking` and `watching` go on in threads of their own while the test kills."""

    def __init__(self, server: ServerProcess, pipelines: list[dict[str, Any]]) -> None:
        self.server = server
        self.pipelines = pipelines
        self.history = History()
        self.random = random.Random(SEED)
        self.kills: Counter[str] = Counter()
        self.active = 0
        self.over = threading.Event()

    def goes_on(self, until: float) -> bool:
        """Until this monotonic time, and on a slow machine until everybody was hit once, within bounds."""
        missed = {*VICTIMS} - {*self.kills}
        return time.monotonic() < until + (SLOW_MACHINE_S if missed else 0)

    # --- what goes on meanwhile ---------------------------------------------------------------------------------------

    def asking(self) -> None:
        """Trigger runs, each until it is answered: with the same key, as a client does that does not want two."""
        choice = random.Random(SEED + 1)
        while not self.over.wait(choice.uniform(0.05, 0.4)):
            if self.active < MOST_ACTIVE:
                pipeline = choice.choice(self.pipelines)
                self._ask(self.history.intend(f"key-{uuid4().hex}", pipeline["id"]))

    def _ask(self, intention: Intention) -> None:
        path, headers = f"{PIPELINES}/trigger/{intention.pipeline_id}", {"Idempotency-Key": intention.key}
        with httpx.Client(base_url=self.server.url, trust_env=False, timeout=30, auth=ADMIN, headers=headers) as http:
            while not self.over.wait(0.05):
                with suppress(httpx.TransportError):
                    answer = http.post(path)
                    if answer.status_code != 503:
                        assert answer.status_code == 200, answer.text
                        intention.answered.add(answer.json()["runId"])
                        return

    def watching(self) -> None:
        """Look at all runs again and again, as a page in a browser does."""
        with httpx.Client(base_url=self.server.url, trust_env=False, timeout=30, auth=ADMIN) as http:
            while not self.over.wait(0.2):
                with suppress(httpx.TransportError):
                    runs = http.get("/api/v1/minisched/runs", params={"limit": 1000}).json()["data"]
                    self.active = sum(run["state"] not in TERMINAL for run in runs)
                    self.history.look(runs)

    # --- kills --------------------------------------------------------------------------------------------------------

    def strike(self) -> None:
        victim = self.random.choice(VICTIMS)
        if victim == "server":
            self._strike_server()
        else:
            self._strike_process(victim)
        self.over.wait(self.random.uniform(0.0, 0.8))

    def _strike_server(self) -> None:
        self.server.kill()
        self.kills["server"] += 1
        self.server.start(ready=False)
        if self.random.random() < 0.25:
            # Once more, while it still finds out what the last one has left.
            self.over.wait(self.random.uniform(0.3, 1.5))
        else:
            self.server.wait_until_live()

    def _strike_process(self, victim: str) -> None:
        of_kind = {"launcher": self.server.launchers, "guard": self.server.guards, "runner": self.server.runners}
        processes = of_kind[victim]()
        if not processes:
            return
        pid = self.random.choice(sorted(processes, key=lambda process: process.pid)).pid
        self.history.kill(pid)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            self.kills[victim] += 1

    # --- the end ------------------------------------------------------------------------------------------------------

    def accounted_after_s(self) -> float:
        """How long after a last kill of the server everything that ran has ended, and everything else too."""
        self.server.kill()
        self.kills["server"] += 1
        self.server.start(ready=False)
        self.server.wait_until_live()
        started = time.monotonic()
        running = {run["id"] for run in self.server.runs() if run["state"] == "running"}
        wait_until(lambda: not running & self._unended(), timeout_s=60, every_s=0.05)
        took_s = time.monotonic() - started
        wait_until(lambda: not self._unended() and not self.server.outbox(), timeout_s=60, every_s=0.05)
        return took_s

    def _unended(self) -> set[str]:
        return {run["id"] for run in self.server.runs() if run["state"] not in TERMINAL}


@contextmanager
def going_on(chaos: Chaos) -> Iterator[None]:
    """With somebody who asks and somebody who watches; what goes wrong there is raised here."""
    with ThreadPoolExecutor(2) as pool:
        threads = [pool.submit(chaos.asking), pool.submit(chaos.watching)]
        try:
            yield
        finally:
            chaos.over.set()
        for thread in threads:
            thread.result()


@pytest.mark.timeout(1200)
def test_random_kills_leave_a_history_without_contradiction(tmp_path: Path) -> None:
    with (
        openmetadata_double() as heard,
        server_process(
            tmp_path,
            OPENMETADATA__HOST_PORT=heard.url,
            OPENMETADATA__JWT_TOKEN="a-token",
            EXECUTOR__SLOTS="4",
            OUTBOX__MAX_DELAY_S="2",
        ) as server,
    ):
        server.start()
        schedules = ["* * * * *" if number < 3 else None for number in range(PIPELINE_COUNT)]
        pipelines = [server.deployed("talk", schedule=cron, lines=LINES, every_s=0.1) for cron in schedules]
        chaos = Chaos(server, pipelines)
        until = time.monotonic() + FOR_S
        with going_on(chaos):
            while chaos.kills.total() < KILLS if KILLS else chaos.goes_on(until):
                chaos.strike()
        took_s = chaos.accounted_after_s()
        problems = violations(chaos.history, server, heard, lines=LINES)
        problems += [f"left {left}" for left in server.started_runs_left()]
        runs = server.runs()
        ends = Counter(f"{run['state']}/{run.get('reason')}" for run in runs)
        kinds = Counter(run["kind"] for run in runs)
        print(f"\nseed {SEED}: kills {dict(chaos.kills)}, runs {dict(kinds)}, ends {dict(ends)}")
        print(f"running at the last start: ended after {took_s:.1f} s; violations {len(problems)}")
        assert problems == []
        assert took_s < ACCOUNTED_WITHIN_S + LONGEST_RUN_S
        assert {"server", "launcher", "guard", "runner"} <= set(chaos.kills)
        wait_until(lambda: [len(server.launchers()), len(server.guards()), len(server.runners())] == [1, 1, 1])
