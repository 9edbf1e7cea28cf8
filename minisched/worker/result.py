"""result.json: how the workflow ended, as the runner saw it."""

from __future__ import annotations

from typing import Any

from . import protocol
from .redaction import Redactor, hide_inputs

_MESSAGE_LIMIT = 4000


class Result:
    """Filled in while the run goes on. `verdict` is one of OpenMetadata's terminal states."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.stage = "prepare"
        self.verdict = "failed"
        self.error: dict[str, Any] | None = None
        self.steps: list[dict[str, Any]] = []
        self.reported = False
        self.dropped_fields: list[str] = []
        self.timings: dict[str, Any] = {}
        self.problems: list[str] = []

    def fail(self, kind: str, message: str, hint: str | None = None) -> dict[str, Any]:
        """Returns the error as it will be written, but for its secrets."""
        self.verdict = "failed"
        self.error = {"type": kind, "message": hide_inputs(message)[:_MESSAGE_LIMIT], "hint": hint}
        return self.error

    def fail_by_steps(self, kind: str, steps: list[dict[str, Any]], otherwise: str) -> None:
        """Failed because too much failed in its steps: name the step with its first error rather than all of them."""
        for step in steps:
            failures = step.get("failures") or []
            if failures:
                first = failures[0]
                message = "{} reported {} errors; the first, {}: {}".format(
                    step.get("name"), step.get("errors"), first.get("name"), first.get("error")
                )
                self.fail(kind, message)
                return
        self.fail(kind, otherwise)

    def write(self, run_dir: str, redactor: Redactor) -> None:
        """Raises OSError when the disk is full."""
        protocol.write_record(run_dir, protocol.RESULT_FILE, self.as_record(redactor))

    def as_record(self, redactor: Redactor) -> dict[str, Any]:
        record: dict[str, Any] = redactor.clean_document(
            {
                "run_id": self.run_id,
                "stage": self.stage,
                "verdict": self.verdict,
                "error": self.error,
                "steps": self.steps,
                "reported": self.reported,
                "dropped_fields": self.dropped_fields,
                "timings": self.timings,
                "problems": self.problems,
            }
        )
        return record

    def as_brief(self, redactor: Redactor) -> dict[str, Any]:
        """What fits into a few kilobytes: no errors of single steps, and the first ones of the rest."""
        record = self.as_record(redactor)
        steps = [{key: value for key, value in step.items() if key != "failures"} for step in record["steps"]]
        short = {"steps": steps[:20], "dropped_fields": record["dropped_fields"][:50], "problems": []}
        return dict(record, **short)

    @property
    def exit_code(self) -> int:
        if self.verdict == "stopped":
            return protocol.EXIT_STOPPED
        return protocol.EXIT_FAILED if self.verdict == "failed" else protocol.EXIT_SUCCESS
