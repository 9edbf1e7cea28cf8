"""`minisched pipeline move`: what it asks of the server, and what it makes of the answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from minisched.cli.exit_codes import ExitCode
from tests.unit.test_cli_pipelines import ID, PIPELINES, FakeServer, _call, _entity, _listing

PLACEMENTS = "/api/v1/minisched/placements"
MOVE = f"POST /api/v1/minisched/pipelines/{ID}/move"
OTHER_ID = "0e555cea-6a5a-4fe5-a9ad-4ff65efc8280"
OTHER_MOVE = f"POST /api/v1/minisched/pipelines/{OTHER_ID}/move"


def _placement(pipeline_id: str = ID, name: str = "daily", **changes: Any) -> dict[str, Any]:
    plain = {"id": pipeline_id, "name": name, "fullyQualifiedName": f"mysql.{name}", "pipelineType": "metadata"}
    return {**plain, "service": "mysql", "client": "local", **changes}


def _done(verdict: str = "moved", **changes: Any) -> dict[str, Any]:
    plain = {"pipelineId": ID, "fullyQualifiedName": "mysql.daily", "from": "local", "to": "airflow"}
    return {**plain, "verdict": verdict, "notes": [], **changes}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["daily"], "say either --to airflow, --to local or --undo"),
        (["daily", "--to", "local", "--undo"], "say either"),
        (["--to", "local"], "name one pipeline, or say --all"),
        (["daily", "--all", "--to", "local"], "name one pipeline, or say --all"),
        (["daily", "--to", "local", "--service", "x"], "choose among --all"),
        (["daily", "--to", "noop"], "'noop' is not one of"),
    ],
)
def test_what_cannot_be_meant_asks_nobody(arguments: list[str], text: str) -> None:
    server = FakeServer({})
    result = _call(server, "pipeline", "move", *arguments)
    assert result.exit_code == ExitCode.USAGE
    assert text in result.output
    assert server.asked == []


def test_one_is_moved_with_what_is_different_there() -> None:
    moved = _done(notes=["Airflow's plugin takes workflowTimeout (60 s) for days."])
    server = FakeServer({f"GET {PIPELINES}": _listing(_entity()), MOVE: moved})
    result = _call(server, "pipeline", "move", "daily", "--to", "airflow", "--force")
    assert result.exit_code == ExitCode.OK, result.output
    assert server.bodies[-1] == {"to": "airflow", "force": True}
    assert result.output.splitlines() == ["mysql.daily: moved (local → airflow)", *moved["notes"]]


def test_one_that_is_refused_is_an_error() -> None:
    server = FakeServer({f"GET {PIPELINES}": _listing(_entity()), MOVE: (409, {"message": "It runs."})})
    result = _call(server, "pipeline", "move", "daily", "--to", "airflow")
    assert (result.exit_code, result.output) == (ExitCode.FAILED, "minisched: It runs.\n")


def test_a_pipeline_of_another_server_is_found_by_its_name() -> None:
    answers = {f"GET {PIPELINES}": _listing(), f"GET {PLACEMENTS}": {"data": [_placement()]}, MOVE: _done()}
    assert _call(FakeServer(answers), "pipeline", "move", "daily", "--to", "airflow").exit_code == ExitCode.OK
    assert _call(FakeServer(answers), "pipeline", "move", "weekly", "--undo").exit_code == ExitCode.NOT_FOUND


def test_all_get_a_verdict_and_one_refusal_is_told_by_the_exit_code() -> None:
    refused = (503, {"message": "Nothing can be moved to Airflow: it is down."})
    listed = {"data": [_placement(OTHER_ID, "a"), _placement()]}
    server = FakeServer({f"GET {PLACEMENTS}": listed, OTHER_MOVE: refused, MOVE: _done("would_move")})
    result = _call(server, "pipeline", "move", "--all", "--to", "airflow", "--dry-run", "--json")
    assert result.exit_code == ExitCode.FAILED
    assert [one["verdict"] for one in json.loads(result.output)] == ["refused", "would_move"]
    assert json.loads(result.output)[0]["notes"] == [refused[1]["message"]]
    assert server.bodies[1:] == [{"to": "airflow", "dryRun": True}] * 2


def test_filters_choose_among_all() -> None:
    listed = [
        _placement(OTHER_ID, "a", service="other"),
        _placement(OTHER_ID, "b", pipelineType="usage", cameFrom="airflow"),
        _placement(cameFrom="airflow"),
    ]
    server = FakeServer({f"GET {PLACEMENTS}": {"data": listed}, MOVE: _done()})
    for arguments in (["--undo", "--type", "metadata,lineage"], ["--to", "airflow", "--service", "mysql"]):
        server.answers[OTHER_MOVE] = _done(fullyQualifiedName="mysql.b")
        result = _call(server, "pipeline", "move", "--all", *arguments)
        assert result.exit_code == ExitCode.OK, result.output
    assert server.asked == [f"GET {PLACEMENTS}", MOVE, f"GET {PLACEMENTS}", OTHER_MOVE, MOVE]
    assert server.bodies[1] == {"undo": True}
