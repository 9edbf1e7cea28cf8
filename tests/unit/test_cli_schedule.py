"""Commands about schedules: what they show of the server's answers, and how wrong options are named."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from minisched.cli import command_line
from minisched.cli.exit_codes import ExitCode
from minisched.cli.invocation import Invocation

ID = "9e555cea-6a5a-4fe5-a9ad-4ff65efc8289"
# Fri 2026-02-27, Sat, Sun and Mon, a day apart.
DAYS = [1_772_150_400_000 + day * 86_400_000 for day in range(4)]


def _call(answer: Any, *arguments: str, status: int = 200) -> Result:
    def answered(request: httpx.Request) -> httpx.Response:
        entity = request.url.path.endswith(ID) and request.method == "GET" and "/services/" in request.url.path
        return httpx.Response(200, json={"id": ID}) if entity else httpx.Response(status, json=answer)

    invocation = Invocation(transport=httpx.MockTransport(answered))
    return CliRunner().invoke(command_line, ["--url", "http://127.0.0.1:8580", *arguments], obj=invocation)


def test_instants_to_make_up_for_are_shown_oldest_first() -> None:
    queued = [{"scheduledFor": DAYS[index]} for index in (3, 0, 2)]
    answer = {"queued": queued, "known": [{"scheduledFor": DAYS[1], "runId": "r"}]}
    interval = ("--from", "2026-02-27", "--to", "2026-03-03")
    result = _call(answer, "pipeline", "backfill", ID, *interval, "--dry-run")
    assert [line[:14] for line in result.output.splitlines()[1:5]] == [
        "Fri 2026-02-27",
        "Sat 2026-02-28",
        "Sun 2026-03-01",
        "Mon 2026-03-02",
    ]


def test_a_zone_that_is_none_is_named_by_its_option() -> None:
    result = _call({}, "pipeline", "next", ID, "--zone", "Mars/X")
    assert result.exit_code == ExitCode.USAGE
    assert result.output.startswith("minisched: --zone: 'Mars/X' is not an IANA time zone.")


@pytest.mark.parametrize("command", [("pipeline", "backfill", ID), ("schedule", "simulate")])
@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        ("to: is not after 'from'", "--to: is not after --from"),
        ("from: is not a time", "--from: is not a time"),
    ],
)
def test_a_time_that_the_server_refuses_is_named_by_its_option(
    command: tuple[str, ...], refusal: str, said: str
) -> None:
    refused = {"code": 400, "message": refusal}
    result = _call(refused, *command, "--from", "2026-03-02", "--to", "2026-03-01", status=400)
    assert (result.exit_code, result.output) == (ExitCode.USAGE, f"minisched: {said}\n")


def test_the_time_that_is_asked_about_is_named_by_its_option() -> None:
    refused = {"code": 400, "message": "at: is not a time"}
    result = _call(refused, "pipeline", "why", ID, "--at", "noon", status=400)
    assert (result.exit_code, result.output) == (ExitCode.USAGE, "minisched: --at: is not a time\n")


def test_other_refusals_stay_as_they_are() -> None:
    refused = {"code": 409, "message": "to many"}
    result = _call(refused, "schedule", "simulate", "--from", "2026-03-01", "--to", "2026-03-02", status=409)
    assert (result.exit_code, result.output) == (ExitCode.FAILED, "minisched: to many\n")


def test_a_run_cannot_be_assumed_to_take_less_than_nothing() -> None:
    result = _call({}, "schedule", "simulate", "--from", "2026-03-01", "--to", "2026-03-02", "--assume", "-3")
    assert result.exit_code == ExitCode.USAGE
    assert "--assume" in result.output
