"""Logs as events: one configuration for structlog and for the libraries that log through the standard library.

Secrets leave no trace: a value under a key that names a secret is masked, and every value that `remember_secrets` was
told is removed from whatever is written, tracebacks and messages of libraries included.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TextIO
from urllib.parse import quote, quote_plus

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

from minisched.domain.secrets import MASK, is_secret_key

MIN_SECRET_LENGTH = 6
# Chatty at info; their warnings are what we want to read.
_QUIET = ("apscheduler", "sqlalchemy", "alembic", "httpx", "httpcore", "uvicorn.access", "asyncio")
# Uvicorn gives its loggers handlers of their own, unless it is told not to.
_WITH_OWN_HANDLERS = ("uvicorn", "uvicorn.error", "uvicorn.access")


class SecretRegistry:
    """Values that must not be seen, found as exact substrings.

    A search asks at each position which lengths begin with these first characters, so its cost grows with the text and
    not with the number of secrets. Values shorter than six characters are not kept: they would blot out ordinary words.
    """

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._lengths: dict[str, tuple[int, ...]] = {}
        self._lock = threading.Lock()

    def add(self, values: Iterable[str]) -> None:
        """Remember the values, and the forms that they take inside URLs, JSON and Python literals."""
        with self._lock:
            for form in {form for value in values for form in _forms(value)} - self._known:
                self._known.add(form)
                start = form[:MIN_SECRET_LENGTH]
                # Readers take no lock: they see the old tuple or the new one.
                self._lengths[start] = tuple(sorted({*self._lengths.get(start, ()), len(form)}, reverse=True))

    def redact(self, text: str) -> str:
        """The text with each known value replaced by the mask, the longest first where several begin."""
        kept: list[str] = []
        begin = at = 0
        while at <= len(text) - MIN_SECRET_LENGTH:
            lengths = self._lengths.get(text[at : at + MIN_SECRET_LENGTH], ())
            found = next((length for length in lengths if text[at : at + length] in self._known), None)
            if found is None:
                at += 1
                continue
            kept += (text[begin:at], MASK)
            begin = at = at + found
        return "".join([*kept, text[begin:]]) if kept else text


def _forms(value: str) -> Iterator[str]:
    """The value as it is, each long line of it, and how URLs, JSON and Python spell it."""
    lines = [line for line in value.splitlines() if len(line) >= 2 * MIN_SECRET_LENGTH] if "\n" in value else []
    for text in (value, *lines):
        for form in (text, quote(text), quote(text, safe=""), quote_plus(text), *_quoted(text)):
            if len(form.strip()) >= MIN_SECRET_LENGTH:
                yield form


def _quoted(text: str) -> Iterator[str]:
    """Inside JSON or a Python literal, and such a text inside another."""
    for inner in _literals(text):
        yield inner
        yield from _literals(inner)


def _literals(text: str) -> tuple[str, str, str]:
    return json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], repr(text)[1:-1]


_secrets = SecretRegistry()


def remember_secrets(values: Iterable[str]) -> None:
    """From now on none of these values appears in a log of this process."""
    _secrets.add(values)


def redact(text: str) -> str:
    """The text without the values that `remember_secrets` was told."""
    return _secrets.redact(text)


def redact_event(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """The last processor before rendering: masks by key and by value, and turns every object into clean text."""
    return {redact(str(key)): _clean(str(key), value) for key, value in event.items()}


def _clean(key: str, value: Any) -> Any:
    if is_secret_key(key) and value not in (None, ""):
        return MASK
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {redact(str(name)): _clean(str(name), item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(key, item) for item in value]
    return redact(_text_of(value))


def _text_of(value: object) -> str:
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 - a broken __str__ must not cost the log line that mentions the object
        return f"<{type(value).__name__}, unprintable: {type(error).__name__}>"


class _Handler(logging.StreamHandler[TextIO]):
    """Writes to a stream; when that fails it says so without the record, which nobody has redacted."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name that logging calls
        with contextlib.suppress(OSError, ValueError):
            if sys.__stderr__:
                sys.__stderr__.write(f"minisched: a log record of {record.name} could not be written\n")


def configure_logging(log_format: str = "auto", level: str = "info", stream: TextIO | None = None) -> None:
    """Send every log of this process to `stream` (stderr), once; calling it again replaces what was configured.

    `log_format` is json, console, or auto: console on a terminal and json elsewhere. `level` is debug, info, warning or
    error; libraries that talk much are held at warning unless it is debug.
    """
    stream = stream or sys.stderr
    as_json = log_format == "json" or (log_format == "auto" and not stream.isatty())
    structlog.configure(
        processors=[*_shared_processors(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        # A cached logger would keep writing to where an earlier configuration sent it.
        cache_logger_on_first_use=False,
    )
    _take_over_root(_handler(stream, as_json), level)


def _shared_processors() -> list[Processor]:
    """What every record gets, ours or a library's."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def _handler(stream: TextIO, as_json: bool) -> logging.Handler:
    handler = _Handler(stream)
    renderer: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if as_json
        # The traceback is text by then; rich's own would show the values of local variables.
        else structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback)
    )
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_shared_processors(),
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                redact_event,
                renderer,
            ],
        )
    )
    return handler


def _take_over_root(handler: logging.Handler, level: str) -> None:
    logging.captureWarnings(True)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _WITH_OWN_HANDLERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.NOTSET if level == "debug" else logging.WARNING)
