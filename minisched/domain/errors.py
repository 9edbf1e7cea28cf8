"""Every error that minisched raises on purpose, split by what the caller can do about it.

`api/errors.py` turns them into HTTP answers, `cli` into exit codes; nothing else translates them.
"""

from __future__ import annotations


class MinischedError(Exception):
    """Something went wrong that we understand.

    `field` is the path of the offending input (`airflowConfig.scheduleInterval`), `hint` says what to do.
    Neither ever holds a secret's value.
    """

    def __init__(self, message: str | None = None, *, field: str | None = None, hint: str | None = None) -> None:
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        self.field = field
        self.hint = hint
        super().__init__(self.message)

    def __str__(self) -> str:
        text = f"{self.field}: {self.message}" if self.field else self.message
        if not self.hint:
            return text
        return f"{text} {self.hint}" if text.endswith((".", "!", "?", ":")) else f"{text}. {self.hint}"


class InvalidInput(MinischedError):
    """The request cannot be understood as it is; the caller has to change it."""


class InvalidSchedule(InvalidInput):
    """The schedule, its time zone or its dates make no sense."""


class InvalidPipelineConfig(InvalidInput):
    """The pipeline's document is not one that can be stored, deployed or run."""


class NotFound(MinischedError):
    """What was named does not exist."""


class PipelineNotFound(NotFound):
    """No such pipeline."""


class RunNotFound(NotFound):
    """No such run."""


class EntityNotFound(NotFound):
    """A referenced entity (service, owner, …) does not exist."""


class Conflict(MinischedError):
    """The request is fine, but not in the present state of things."""


class EntityExists(Conflict):
    """Entity already exists"""


class NameCollision(Conflict):
    """Another pipeline already uses the name that callers would use for this one."""


class DuplicateRun(Conflict):
    """A run for this pipeline and instant exists already."""


class RunsActive(Conflict):
    """The pipeline has runs that are not over."""


class IllegalTransition(Conflict):
    """The run is not in a state from which this can happen."""


class VersionConflict(Conflict):
    """The entity was changed by somebody else meanwhile."""


class PreconditionFailed(MinischedError):
    """The entity is not what the caller takes it for."""


class Unauthenticated(MinischedError):
    """Not authorized! This needs a user and a password, or a token."""


class Forbidden(MinischedError):
    """The caller is known, and may not do this."""


class TooManyFailures(MinischedError):
    """Too many wrong passwords came from this address; wait for a minute. `wait_s` is what is left of it."""

    def __init__(self, message: str | None = None, *, wait_s: float = 60.0) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class OrchestratorError(MinischedError):
    """The orchestrator behind the PipelineServiceClient did not do as asked."""


class OrchestratorUnavailable(OrchestratorError):
    """The orchestrator cannot be reached; try again later."""


class OrchestratorRejected(OrchestratorError):
    """The orchestrator understood and refused."""


class RuntimeUnusable(OrchestratorError):
    """No ingestion environment can serve this pipeline."""


class StoreUnavailable(MinischedError):
    """The database does not answer; nothing was changed as far as we know. Try again."""


class LeaseLost(StoreUnavailable):
    """Another server has taken over the database; this one may not write to it any more."""


class ConfigurationError(MinischedError):
    """The settings, or the machine as found, do not allow this process to work; an operator has to act."""
