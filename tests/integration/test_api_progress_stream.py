"""Following progress over a real connection: one run to its end, and all runs of a service at once."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest

from minisched.domain.pipeline import Document
from minisched.operations import progress as progress_module
from minisched.operations.progress import Progress, Watched
from minisched.serving import bind, serving_in_background
from tests.api_worlds import PIPELINES, World, a_create_request, a_world
from tests.credentials import ADMIN
from tests.waiting import wait_until

MAX_STREAMS = 4


@dataclass
class Served:
    """The application on a port of its own."""

    world: World
    http: httpx.Client

    def pipeline(self, *, deployed: bool = False) -> Document:
        made = self.http.post(PIPELINES, json=a_create_request()).json()
        if deployed:
            assert self.http.post(f"{PIPELINES}/deploy/{made['id']}").json()["code"] == 200
        return dict(made)

    def tell(self, pipeline: Document, run_id: str, update_type: str = "PROCESSING", **more: Any) -> None:
        update = {"runId": run_id, "timestamp": 1735689600000, "updateType": update_type, **more}
        fqn = quote(pipeline["fullyQualifiedName"], safe="")
        assert self.http.put(f"{PIPELINES}/progress/{fqn}/{run_id}", json=update).status_code == 200

    @contextmanager
    def watching(self, path: str) -> Iterator[Iterator[Document]]:
        with self.http.stream("GET", f"{PIPELINES}/progress/{path}") as response:
            assert response.status_code == 200, response.read()
            lines = response.iter_lines()
            yield (json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: "))

    def run_stream(self, pipeline: Document, run_id: str) -> str:
        return f"{quote(pipeline['fullyQualifiedName'], safe='')}/stream/{run_id}"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with a_world(tmp_path, max_streams=MAX_STREAMS) as world, closing(bind("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with (
            serving_in_background(world.app, listener, stopping=world.stopping),
            httpx.Client(base_url=url, trust_env=False, timeout=10, auth=ADMIN) as http,
        ):
            yield Served(world, http)


def test_a_run_is_followed_from_where_it_is_to_its_end(served: Served) -> None:
    pipeline, run_id = served.pipeline(), str(uuid4())
    served.tell(pipeline, run_id, message="one")
    served.tell(pipeline, run_id, message="two")
    with served.watching(served.run_stream(pipeline, run_id)) as events:
        assert next(events)["message"] == "two"
        served.tell(pipeline, run_id, message="three")
        served.tell(pipeline, run_id, message="four")
        assert [next(events)["message"], next(events)["message"]] == ["three", "four"]
        served.tell(pipeline, run_id, "PIPELINE_COMPLETE")
        assert next(events)["updateType"] == "PIPELINE_COMPLETE"
        with pytest.raises(StopIteration):
            next(events)


def test_what_is_told_arrives_at_once(served: Served) -> None:
    pipeline, run_id = served.pipeline(), str(uuid4())
    with served.watching(served.run_stream(pipeline, run_id)) as events:
        served.tell(pipeline, run_id)
        began = time.monotonic()
        next(events)
        assert time.monotonic() - began < 2


def test_a_service_shows_all_its_runs_on_one_connection(served: Served) -> None:
    one, other = served.pipeline(), served.pipeline()
    ended, old, new = (str(uuid4()) for _ in range(3))
    served.tell(one, ended, "ERROR")
    served.tell(one, old)
    with served.watching("service/databaseService/mysql/stream") as events:
        first = next(events)
        assert (first["pipelineFqn"], first["runId"]) == (one["fullyQualifiedName"], old)
        assert first["event"]["updateType"] == "PROCESSING"
        served.tell(other, new, "DISCOVERY")
        second = next(events)
        assert (second["pipelineFqn"], second["runId"]) == (other["fullyQualifiedName"], new)
        assert second["ingestionPipeline"]["id"] == other["id"]
        served.tell(one, old, "PIPELINE_COMPLETE")
        third = next(events)
        assert (third["runId"], third["event"]["updateType"]) == (old, "PIPELINE_COMPLETE")
        assert "ingestionPipeline" not in third
        served.tell(other, new)
        assert next(events)["runId"] == new


def test_a_run_that_died_is_no_longer_shown_as_going_on(served: Served) -> None:
    pipeline = served.pipeline(deployed=True)
    run_id = served.http.post(f"{PIPELINES}/trigger/{pipeline['id']}").json()["runId"]
    served.tell(pipeline, run_id)
    with (
        served.watching("service/databaseService/mysql/stream") as of_service,
        served.watching(served.run_stream(pipeline, run_id)) as of_run,
    ):
        next(of_service)
        next(of_run)
        assert served.http.post(f"{PIPELINES}/kill/{pipeline['id']}").status_code == 200
        for event in (next(of_service)["event"], next(of_run)):
            assert (event["runId"], event["updateType"]) == (run_id, "ERROR")


def test_streams_are_bounded_and_end_with_the_server(served: Served) -> None:
    pipeline, run_id = served.pipeline(), str(uuid4())
    path = served.run_stream(pipeline, run_id)
    with ExitStack() as stack:
        streams = [stack.enter_context(served.watching(path)) for _ in range(MAX_STREAMS)]
        refused = served.http.get(f"{PIPELINES}/progress/{path}")
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "5")
        served.world.stopping.set()
        for events in streams:
            assert list(events) == []


def test_secrets_that_the_server_knows_are_not_passed_on(served: Served) -> None:
    secret = f"s3cret-{uuid4().hex}"
    config = {"type": "Application", "appConfig": {"type": "Mailer", "password": secret}}
    made = served.http.post(
        PIPELINES, json=a_create_request(pipelineType="application", sourceConfig={"config": config})
    ).json()
    served.http.post(f"{PIPELINES}/deploy/{made['id']}")
    run_id = str(uuid4())
    served.tell(made, run_id, "ERROR", message=f"cannot log in with {secret}")
    fqn = quote(made["fullyQualifiedName"], safe="")
    for path in (f"{fqn}/{run_id}", f"{fqn}/stream/{run_id}"):
        text = served.http.get(f"{PIPELINES}/progress/{path}").text
        assert secret not in text
        assert "cannot log in with *********" in text


# --- what is kept -----------------------------------------------------------------------------------------------------


def progress_of(served: Served) -> Progress:
    return served.world.cases.progress


def test_only_so_much_is_kept(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_module, "MOST_RUNS", 3)
    pipeline, runs = served.pipeline(), [str(uuid4()) for _ in range(5)]
    for run_id in runs:
        served.tell(pipeline, run_id)
    known = [progress_of(served).latest(pipeline["fullyQualifiedName"], run_id) is not None for run_id in runs]
    assert known == [False, False, True, True, True]
    monkeypatch.setattr(progress_module, "MOST_BYTES", 3_000)
    for run_id in runs:
        served.tell(pipeline, run_id, message="x" * 2_000)
    assert progress_of(served).latest(pipeline["fullyQualifiedName"], runs[-1]) is not None
    assert progress_of(served).latest(pipeline["fullyQualifiedName"], runs[-2]) is None


def test_a_watcher_who_sleeps_gets_the_newest(served: Served) -> None:
    pipeline, run_id, progress = served.pipeline(), str(uuid4()), progress_of(served)
    watched = Watched(run_id=run_id)
    number, _ = progress.now(watched)
    for index in range(100):
        served.tell(pipeline, run_id, message=str(index))
    _, events = progress.since(number, watched)
    assert [event.update["message"] for event in events] == [str(index) for index in range(84, 100)]


def test_many_tell_at_once(served: Served) -> None:
    pipeline, run_id = served.pipeline(), str(uuid4())
    with served.watching(served.run_stream(pipeline, run_id)) as events:
        for index in range(50):
            served.tell(pipeline, run_id, "PIPELINE_COMPLETE" if index == 49 else "PROCESSING", message=str(index))
        heard = [int(event["message"]) for event in events]
    assert heard == sorted(heard)
    assert heard[-1] == 49
    wait_until(lambda: progress_of(served).latest(pipeline["fullyQualifiedName"], run_id) is not None)
