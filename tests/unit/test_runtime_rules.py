"""Which runtime runs what, by the rules of the settings."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from minisched.app.runtime_choice import RuntimeChoice
from minisched.clients.connection import connection_document
from minisched.clients.server_versions import ServerVersions
from minisched.domain.errors import InvalidInput
from minisched.domain.pipeline import Deployment, Document
from minisched.domain.runtime_rules import RuntimeRule, Subject, first_fitting, rule_of
from minisched.settings import Settings
from tests.scripted_http import Asked, ScriptedServer, scripted_server

SUBJECT = Subject(("nightly", "shop.nightly"), "databaseService")
RULES: list[dict[str, str]] = [
    {"runtime": "explicit", "pipeline": "shop.special"},
    {"runtime": "old", "server": "1.5"},
    {"runtime": "boards", "serviceType": "dashboard*"},
    {"runtime": "night", "pipeline": "night*", "serviceType": "databaseService"},
]


def unknown() -> None:
    return None


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        (RuntimeRule("r"), True),
        (RuntimeRule("r", pipeline="night*"), True),
        (RuntimeRule("r", pipeline="shop.night?y"), True),
        (RuntimeRule("r", pipeline="night"), False),
        (RuntimeRule("r", service_type="DatabaseService"), True),
        (RuntimeRule("r", service_type="dashboardService"), False),
        (RuntimeRule("r", server=(1, 5)), True),
        (RuntimeRule("r", server=(1, 6)), False),
        (RuntimeRule("r", server=(1, 5), pipeline="other"), False),
    ],
)
def test_all_of_a_rule_has_to_fit(rule: RuntimeRule, fits: bool) -> None:
    assert first_fitting((rule,), SUBJECT, lambda: "1.5.15-SNAPSHOT") == ("r" if fits else None)


def test_the_first_that_fits_decides_and_only_then_the_server_is_asked() -> None:
    def asked() -> str:
        raise AssertionError("nobody has to be asked")

    rules = (RuntimeRule("a", pipeline="x"), RuntimeRule("b", pipeline="nightly"), RuntimeRule("c", server=(1, 5)))
    assert first_fitting(rules, SUBJECT, asked) == "b"
    assert first_fitting(rules[2:], SUBJECT, unknown) is None


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ({"server": "1.5"}, "needs a runtime"),
        ({"runtime": "r", "server": "one"}, "a line such as 1.5"),
        ({"runtime": "r", "service": "x"}, "'service' is no part of a rule"),
    ],
)
def test_rules_that_make_no_sense_are_refused(parts: dict[str, str], text: str) -> None:
    with pytest.raises(InvalidInput, match=text):
        rule_of(parts)


class World:
    """A choice by RULES over a server of this version, whose clock a test moves."""

    def __init__(self, directory: Path, server: ScriptedServer, default: str = "new") -> None:
        self.server = server
        self.now_s = 0.0
        settings = Settings.model_validate({"data_dir": directory, "runtime": {"default": default, "rules": RULES}})
        self.choice = RuntimeChoice(settings, ServerVersions(lambda document: document, lambda: self.now_s))

    def deployment(self, name: str = "weekly", **changes: Any) -> Deployment:
        document: Document = {
            "service": {"type": "apiService", "fullyQualifiedName": "shop"},
            "openMetadataServerConnection": connection_document(f"{self.server.url}/api", "t0k3n"),
        }
        plain = Deployment("1", name, f"shop.{name}", "metadata", document, True, datetime(2026, 1, 1, tzinfo=UTC))
        return replace(plain, **changes)


def version(text: str) -> Any:
    return lambda _: (200, {"version": text})


def test_the_line_of_the_server_decides_and_is_asked_for_once(tmp_path: Path) -> None:
    with scripted_server(version("1.5.15")) as server:
        world = World(tmp_path, server)
        assert world.choice.known(world.deployment()) is None
        assert server.asked == []
        assert [world.choice.of(world.deployment()) for _ in range(3)] == ["old"] * 3
        assert [asked.path for asked in server.asked] == ["/api/v1/system/version"]
        assert world.choice.known(world.deployment()) == "old"
        world.now_s = 301
        world.choice.of(world.deployment())
        assert len(server.asked) == 2


def test_an_explicit_choice_comes_first_and_needs_no_server(tmp_path: Path) -> None:
    with scripted_server(version("1.5.15")) as server:
        world = World(tmp_path, server)
        assert world.choice.of(world.deployment("special")) == "explicit"
        assert world.choice.of(world.deployment(runtime="mine")) == "mine"
        assert world.choice.known(world.deployment(runtime="mine")) == "mine"
        assert server.asked == []


def test_a_server_that_does_not_answer_is_not_asked_again_at_once_and_the_last_version_counts(tmp_path: Path) -> None:
    answers = [(500, {}), (200, {"version": "1.5.1"}), (500, {})]

    def answer(_: Asked) -> tuple[int, Any]:
        return answers.pop(0)

    with scripted_server(answer) as server:
        world = World(tmp_path, server)
        assert [world.choice.of(world.deployment()) for _ in range(3)] == ["new"] * 3
        assert len(server.asked) == 1
        world.now_s = 31
        assert world.choice.of(world.deployment()) == "old"
        world.now_s = 1000
        assert world.choice.of(world.deployment()) == "old"
        assert answers == []


def test_automations_are_matched_by_the_type_of_their_service(tmp_path: Path) -> None:
    with scripted_server(version("2.0.7")) as server:
        world = World(tmp_path, server)
        connection = connection_document(f"{server.url}/api", "t")
        asked = {"name": "test", "request": {"serviceType": "Dashboard"}, "openMetadataServerConnection": connection}
        assert world.choice.of_automation(asked) == "boards"
        assert world.choice.of_automation({**asked, "request": {}}) == "new"


def test_the_default_has_one_name(tmp_path: Path) -> None:
    with scripted_server(version("2.0.7")) as server:
        world = World(tmp_path, server, default="auto")
        assert world.choice.of(world.deployment(runtime="default")) == "auto"
        assert world.choice.of(world.deployment()) == "auto"
