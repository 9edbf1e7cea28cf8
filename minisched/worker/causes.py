"""From an exception to a sentence that names the real cause."""

from __future__ import annotations

import re
from types import TracebackType
from typing import Any, Iterator

from . import own_runtime, source_type
from .errors import CannotRun
from .hints import hint_for
from .run_log import FailureMemory

_STEP = re.compile(r"test connection step: (\w+)")
# What the package says then is why the connection fits none of all the connectors that there are.
_UNKNOWN_CONNECTION = re.compile(r"Cannot find the service type of (.+)")
_CONNECTION_TYPE_HINT = (
    "Correct the type in serviceConnection.config, with capitals as in the connector's documentation."
)
_UNKNOWN_SOURCE = re.compile(r"'NoneType' object has no attribute 'name'")


def describe(error: BaseException, memory: FailureMemory) -> dict[str, Any]:
    """{"kind", "message", "hint"} of an error that ended a run."""
    kind = type(error).__name__
    if isinstance(error, CannotRun):
        return {"kind": kind, "message": str(error), "hint": error.hint or hint_for([kind], str(error))}
    message = _text(error)
    hint = None
    if kind == "SourceConnectionException":
        message, hint = _connection_failure(error, message, memory)
    elif isinstance(error, AttributeError) and _UNKNOWN_SOURCE.search(message) and _in_package(error):
        message = "there is no connector of this source type in this runtime"
        hint = "Check the service's type, and that the runtime's version has a connector for it."
    elif kind == "ParsingConfigurationError" and _unknown_connection(error):
        message, hint = _unknown_connection(error), _CONNECTION_TYPE_HINT
    elif kind == "MissingPluginException" and getattr(error, "plugin", None):
        hint = own_runtime.advice_for_extra(str(error.plugin))  # type: ignore[attr-defined]
    elif isinstance(error, SystemExit):
        message = "the workflow left with sys.exit({!r})".format(error.code)
    kinds = [base.__name__ for base in type(error).__mro__]
    return {"kind": kind, "message": message, "hint": hint or hint_for(kinds, message)}


def _text(error: BaseException) -> str:
    """The message, with the cause's where it says more."""
    text = str(error).strip() or type(error).__name__
    cause = error.__cause__
    if cause is not None and str(cause) and str(cause) not in text:
        text = "{} (because of {}: {})".format(text, type(cause).__name__, cause)
    return text


def _connection_failure(error: BaseException, message: str, memory: FailureMemory) -> tuple[str, str | None]:
    """The exception names the step that failed but not why: that is in the result it was raised from, or in the log."""
    for step in _failed_steps(error.__traceback__):
        reason = one_line(getattr(step, "errorLog", None) or getattr(step, "message", None) or "")
        if reason:
            return "{} failed: {}".format(_plain(step.name), reason), _remedy(step)
    found = _STEP.search(message)
    remembered = memory.reason_of(found.group(1)) if found else None
    if found and remembered:
        return "{} failed: {}".format(found.group(1), one_line(remembered)), None
    return message, None


def _unknown_connection(error: BaseException) -> str:
    """The sentence about a connection whose type is that of no connector; empty when that is not the trouble."""
    context = error.__context__
    found = _UNKNOWN_CONNECTION.match(str(context)) if isinstance(context, ValueError) else None
    if found is None:
        return ""
    near = source_type.near_names(found.group(1))
    sentence = "serviceConnection.config.type is {!r}: there is no such connection in this runtime"
    return sentence.format(found.group(1)) + ("; near: {}".format(", ".join(near)) if near else "")


def _failed_steps(traceback: TracebackType | None) -> Iterator[Any]:
    """Mandatory steps that did not pass, from the variable `result` of a frame that the exception went through."""
    while traceback is not None:
        result = traceback.tb_frame.f_locals.get("result")
        for step in getattr(result, "steps", None) or []:
            if getattr(step, "passed", True) is False and getattr(step, "mandatory", True):
                yield step
        traceback = traceback.tb_next


def _remedy(step: Any) -> str | None:
    diagnosis = getattr(step, "diagnosis", None)
    parts = [_plain(getattr(diagnosis, name, None)) for name in ("title", "remediation")]
    return ": ".join(part for part in parts if part) or None


def _plain(value: Any) -> str:
    return str(getattr(value, "root", value) or "")


def one_line(value: Any) -> str:
    """A text, or a model that stands for one, without line breaks."""
    return " ".join(_plain(value).split())


def _in_package(error: BaseException) -> bool:
    """True when the error comes from the ingestion package itself."""
    traceback = error.__traceback__
    module = ""
    while traceback is not None:
        module = str(traceback.tb_frame.f_globals.get("__name__", ""))
        traceback = traceback.tb_next
    return module.startswith("metadata.")
