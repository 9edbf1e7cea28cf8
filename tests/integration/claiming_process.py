"""A process that claims and ends runs until none is left: a second server, as far as the database can tell."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime

from minisched.domain.queueing import ServiceLimits
from minisched.domain.run import RunState
from tests.store_kinds import SUCCESS, sql_stores

SLOTS, LIMITS = 4, ServiceLimits(most=1, of={"stock": 2})
HELD_S = 0.002


def main(url: str) -> None:
    with sql_stores("sql", url) as stores:
        while stores.runs.counts() != {RunState.QUEUED: 0, RunState.RUNNING: 0}:
            run = stores.runs.claim(slots=SLOTS, services=LIMITS)
            if run is not None:
                print(run.id, flush=True)
                time.sleep(HELD_S)
                stores.runs.finish(run.id, SUCCESS, ended_at=datetime.now(UTC))


if __name__ == "__main__":
    main(sys.argv[1])
