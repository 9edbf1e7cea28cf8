"""From exceptions to sentences that name the cause."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from minisched.worker import causes, hints
from minisched.worker.run_log import FailureMemory


class SourceConnectionException(Exception):
    """Named as the package names it."""


class OMetaClientInitError(ValueError):
    """Named as the package names it."""


def caught(error: BaseException, **local_variables: Any) -> BaseException:
    """The error with a traceback whose frame has these variables."""
    with pytest.raises(type(error)) as raised:
        exec("raise error", {"error": error}, local_variables)
    return raised.value


def describe(error: BaseException, memory: FailureMemory | None = None) -> dict[str, Any]:
    return causes.describe(error, memory or FailureMemory())


def step(name: str, *, passed: bool, error: str = "", mandatory: bool = True, **more: Any) -> SimpleNamespace:
    return SimpleNamespace(name=name, passed=passed, mandatory=mandatory, errorLog=error, message=None, **more)


def test_failed_connection_test_says_why() -> None:
    diagnosis = SimpleNamespace(title="Wrong credentials", remediation="Correct the password.")
    result = SimpleNamespace(
        steps=[
            step("Optional", passed=False, error="ignore me", mandatory=False),
            step("CheckAccess", passed=False, error="FATAL: password\nauthentication failed", diagnosis=diagnosis),
        ]
    )
    error = caught(SourceConnectionException("Failed to run the test connection step: CheckAccess"), result=result)

    assert describe(error) == {
        "kind": "SourceConnectionException",
        "message": "CheckAccess failed: FATAL: password authentication failed",
        "hint": "Wrong credentials: Correct the password.",
    }


@pytest.mark.parametrize(
    ("module", "line"),
    [("runner", "CheckAccess: Failed - connection refused"), ("test_connections", "CheckAccess-connection refused")],
    ids=["recent lines", "older lines"],
)
def test_the_log_says_why_where_the_exception_does_not(module: str, line: str) -> None:
    memory = FailureMemory()
    memory.handle(logging.LogRecord("metadata.Ingestion", logging.INFO, f"/x/{module}.py", 1, line, (), None))

    description = describe(SourceConnectionException("Failed to run the test connection step: CheckAccess"), memory)

    assert description["message"] == "CheckAccess failed: connection refused"
    assert "reach it" in description["hint"]


def test_hints_follow_the_class_and_its_bases() -> None:
    assert "OpenMetadata host" in describe(OMetaClientInitError("cannot"))["hint"]
    assert describe(KeyError("x"))["hint"] is None


def test_a_rejected_token_is_named_whatever_the_class() -> None:
    assert "token" in describe(OMetaClientInitError("401 Client Error: Unauthorized"))["hint"]


def test_cause_is_part_of_the_message() -> None:
    error = RuntimeError("it failed")
    error.__cause__ = OSError("disk on fire")

    assert describe(error)["message"] == "it failed (because of OSError: disk on fire)"


def test_unknown_source_type() -> None:
    namespace = {"__name__": "metadata.workflow.base"}
    exec("def fail():\n    None.name", namespace)
    with pytest.raises(AttributeError) as raised:
        namespace["fail"]()  # type: ignore[operator]

    assert "no connector of this source type" in describe(raised.value)["message"]


def test_the_same_error_elsewhere_keeps_its_text() -> None:
    assert describe(caught(AttributeError("'NoneType' object has no attribute 'name'")))["message"].startswith("'None")


def test_a_connection_of_an_unknown_type_is_named() -> None:
    class ParsingConfigurationError(Exception):
        """Named as the package names it."""

    error = ParsingConfigurationError("Extra parameter in ('source', 'serviceConnection')" * 100)
    assert describe(error)["message"] == str(error)

    error.__context__ = ValueError("Cannot find the service type of NoSuch")
    assert describe(error)["message"].startswith("serviceConnection.config.type is 'NoSuch': there is no such")


def test_sys_exit_is_named() -> None:
    assert describe(SystemExit(3))["message"] == "the workflow left with sys.exit(3)"


def test_every_hint_is_a_sentence() -> None:
    for hint in [*hints._BY_TYPE.values(), *(hint for _, hint in (*hints._DECISIVE, *hints._BY_TEXT))]:
        assert hint[0].isupper()
        assert hint.endswith(".")
