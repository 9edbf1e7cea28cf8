"""Logs: one form for all, and no secret in any of them."""

from __future__ import annotations

import io
import json
import logging
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from minisched import observability
from minisched.observability import SecretRegistry, configure_logging, redact, redact_event, remember_secrets

CANARY = 'canary/4711 "täst"+x\''
MASK = "*********"


@pytest.fixture
def restored_logging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A fresh registry, and logging as it was before."""
    monkeypatch.setattr(observability, "_secrets", SecretRegistry())
    root = logging.getLogger()
    handlers = root.handlers[:]
    levels = {name: logging.getLogger(name).level for name in (None, *observability._QUIET)}
    yield
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()


@pytest.fixture
def stream(restored_logging: None) -> io.StringIO:
    return io.StringIO()


def events(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


class TestConfiguration:
    def test_our_events_are_json_with_level_logger_time_and_context(self, stream: io.StringIO) -> None:
        configure_logging("json", "info", stream)
        with structlog.contextvars.bound_contextvars(run_id="r-1"):
            structlog.get_logger("minisched.executor").info("run.finished", seconds=1.5, pids=[1, 2], state=None)

        (event,) = events(stream)
        assert event.pop("timestamp").endswith("Z")
        assert event == {
            "event": "run.finished",
            "level": "info",
            "logger": "minisched.executor",
            "run_id": "r-1",
            "seconds": 1.5,
            "pids": [1, 2],
            "state": None,
        }

    def test_libraries_come_out_the_same_way(self, stream: io.StringIO) -> None:
        own = logging.StreamHandler(io.StringIO())
        logging.getLogger("uvicorn").addHandler(own)
        configure_logging("json", "info", stream)

        with structlog.contextvars.bound_contextvars(run_id="r-1"):
            logging.getLogger("uvicorn.error").info("Started on %s", "127.0.0.1")
        logging.getLogger("apscheduler.scheduler").warning("late")

        assert [(e["event"], e["level"], e["logger"], e.get("run_id")) for e in events(stream)] == [
            ("Started on 127.0.0.1", "info", "uvicorn.error", "r-1"),
            ("late", "warning", "apscheduler.scheduler", None),
        ]
        assert own not in logging.getLogger("uvicorn").handlers

    @pytest.mark.parametrize("name", ["sqlalchemy.engine", "alembic.runtime", "httpx", "uvicorn.access"])
    def test_chatty_libraries_are_heard_at_debug_only(self, stream: io.StringIO, name: str) -> None:
        configure_logging("json", "info", stream)
        logging.getLogger(name).info("chatter")
        assert events(stream) == []

        configure_logging("json", "debug", stream)
        logging.getLogger(name).info("chatter")
        assert [event["event"] for event in events(stream)] == ["chatter"]

    def test_the_level_is_a_threshold(self, stream: io.StringIO) -> None:
        configure_logging("json", "warning", stream)
        log = structlog.get_logger("minisched")
        log.info("small")
        log.warning("large")

        assert [event["event"] for event in events(stream)] == ["large"]

    def test_configuring_twice_does_not_write_twice(self, stream: io.StringIO) -> None:
        configure_logging("json", "info", io.StringIO())
        configure_logging("json", "info", stream)
        structlog.get_logger("minisched").info("once")

        assert len(events(stream)) == 1

    def test_auto_is_console_on_a_terminal_and_json_elsewhere(self, restored_logging: None) -> None:
        class Terminal(io.StringIO):
            def isatty(self) -> bool:
                return True

        terminal, pipe = Terminal(), io.StringIO()
        for stream in (terminal, pipe):
            configure_logging("auto", "info", stream)
            structlog.get_logger("minisched").info("run.finished", seconds=2)

        assert events(pipe)[0]["seconds"] == 2
        assert "run.finished" in terminal.getvalue()
        assert not terminal.getvalue().startswith("{")

    def test_warnings_of_python_are_logged(self, stream: io.StringIO) -> None:
        configure_logging("json", "info", stream)
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(True)
            warnings.warn("old ways", UserWarning, stacklevel=1)
        logging.captureWarnings(False)

        (event,) = events(stream)
        assert (event["logger"], event["level"]) == ("py.warnings", "warning")
        assert "old ways" in event["event"]

    def test_a_stream_that_is_gone_does_not_raise_and_does_not_leak(
        self, restored_logging: None, capfd: pytest.CaptureFixture[str]
    ) -> None:
        closed = io.StringIO()
        configure_logging("json", "info", closed)
        closed.close()

        logging.getLogger("minisched.store").error("lost %s", CANARY)

        told = capfd.readouterr().err
        assert "minisched.store" in told
        assert "canary" not in told

    def test_entries_can_be_read_in_tests(self, stream: io.StringIO) -> None:
        configure_logging("json", "info", stream)
        with capture_logs() as entries:
            structlog.get_logger("minisched").info("run.claimed", run_id="r-1")

        assert entries == [{"event": "run.claimed", "run_id": "r-1", "log_level": "info"}]


def fail_with_the_canary() -> None:
    password = CANARY
    raise ValueError(f"cannot log in as admin:{password}")


@dataclass
class Connection:
    password: str


@pytest.mark.parametrize("log_format", ["json", "console"])
class TestCanary:
    """The canary goes in by every door; not one of its characters may come out."""

    @pytest.fixture(autouse=True)
    def configured(self, stream: io.StringIO, log_format: str) -> None:
        remember_secrets([CANARY])
        configure_logging(log_format, "debug", stream)

    @pytest.fixture(autouse=True)
    def nothing_leaked(self, stream: io.StringIO, configured: None) -> Iterator[None]:
        yield
        assert "4711" not in stream.getvalue()
        assert MASK in stream.getvalue()

    def test_in_an_event(self) -> None:
        structlog.get_logger("minisched").info(f"login {CANARY}", where=f"x{CANARY}x")

    def test_in_nested_values_and_objects(self) -> None:
        structlog.get_logger("minisched").info(
            "deployed", document={"config": [{"options": (CANARY, {CANARY})}]}, object=Connection(CANARY)
        )

    def test_as_a_key(self) -> None:
        structlog.get_logger("minisched").info("deployed", names={CANARY: 1})

    def test_in_the_context(self) -> None:
        with structlog.contextvars.bound_contextvars(where=CANARY):
            structlog.get_logger("minisched").info("deployed")

    def test_in_the_traceback_of_our_own_log(self, stream: io.StringIO) -> None:
        try:
            fail_with_the_canary()
        except ValueError:
            structlog.get_logger("minisched").exception("login.failed")
        assert "fail_with_the_canary" in stream.getvalue()

    def test_in_the_traceback_of_a_library(self, stream: io.StringIO) -> None:
        try:
            fail_with_the_canary()
        except ValueError:
            logging.getLogger("sqlalchemy.pool").exception("cannot connect with %r", CANARY)
        assert "fail_with_the_canary" in stream.getvalue()

    def test_in_a_chained_exception(self) -> None:
        try:
            try:
                fail_with_the_canary()
            except ValueError as error:
                raise RuntimeError("retry failed") from error
        except RuntimeError:
            logging.getLogger("apscheduler").exception("job failed")

    def test_in_the_arguments_of_a_library(self) -> None:
        logging.getLogger("uvicorn.error").warning("%s -> %s", "admin", CANARY)

    def test_in_a_url_and_in_json(self) -> None:
        logging.getLogger("httpx").warning("GET http://u:canary%2F4711%20%22t%C3%A4st%22%2Bx%27@host/")
        logging.getLogger("httpx").warning("body %s", json.dumps({"text": CANARY}))
        logging.getLogger("httpx").warning("repr %r", {"text": CANARY})

    def test_in_another_thread(self) -> None:
        thread = threading.Thread(target=lambda: structlog.get_logger("minisched").info("x", where=CANARY))
        thread.start()
        thread.join()


class TestRedaction:
    def test_values_under_secret_keys_are_masked_though_nobody_announced_them(self) -> None:
        event = {"event": "e", "jwtToken": "abc", "nested": {"password": ["p"], "user": "u"}, "apiKey": None}

        assert redact_event(None, "info", event) == {
            "event": "e",
            "jwtToken": MASK,
            "nested": {"password": MASK, "user": "u"},
            "apiKey": None,
        }

    def test_an_object_that_cannot_be_printed_costs_no_log_line(self) -> None:
        class Broken:
            def __str__(self) -> str:
                raise RuntimeError

        assert redact_event(None, "info", {"event": "e", "what": Broken()})["what"].startswith("<Broken, unprintable")

    def test_short_values_are_no_secrets(self) -> None:
        registry = SecretRegistry()
        registry.add(["admin", "     x", ""])

        assert registry.redact("admin and      x") == "admin and      x"

    def test_the_longest_of_two_that_begin_alike_is_removed_whole(self) -> None:
        registry = SecretRegistry()
        registry.add(["secret", "secret-and-more"])

        assert registry.redact("a secret-and-more b secret") == f"a {MASK} b {MASK}"

    def test_a_key_of_several_lines_is_removed_line_by_line_too(self) -> None:
        registry = SecretRegistry()
        registry.add(["-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nshort\n-----END KEY-----"])

        assert registry.redact("line 2 is MIIEvQIBADANBgkq") == f"line 2 is {MASK}"
        assert registry.redact("short") == "short"

    def test_secrets_may_be_added_while_others_log(self) -> None:
        registry = SecretRegistry()

        def add_some(n: int) -> None:
            for i in range(50):
                registry.add([f"secret-{n}-{i}"])

        threads = [threading.Thread(target=add_some, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert all(registry.redact(f"secret-{n}-{i}") == MASK for n in range(4) for i in range(50))

    @given(
        st.lists(st.text(alphabet="abc", min_size=6, max_size=9), max_size=5),
        st.lists(st.text(alphabet="abcd", max_size=12), max_size=6),
    )
    def test_no_known_value_survives(self, secrets: list[str], pieces: list[str]) -> None:
        registry = SecretRegistry()
        registry.add(secrets)

        cleaned = registry.redact("".join(pieces))

        assert not any(secret in cleaned for secret in secrets)

    def test_the_registry_of_the_process(self, restored_logging: None) -> None:
        remember_secrets(["hunter2-hunter2"])

        assert redact("pw=hunter2-hunter2") == f"pw={MASK}"
