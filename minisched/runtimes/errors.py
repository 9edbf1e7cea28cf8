"""What can go wrong with runtimes, under the domain's errors."""

from __future__ import annotations

from minisched.domain.errors import Conflict, NotFound, RuntimeUnusable


class RuntimeNotFound(NotFound):
    """No such runtime."""


class RuntimeExists(Conflict):
    """A runtime of this name exists already."""


class RuntimeBusy(Conflict):
    """The runtime is being created, replaced or used."""


class RuntimeBuildFailed(RuntimeUnusable):
    """The runtime could not be built. `package` is the one at fault, where it is known; `reason` what uv gave
    for it, `output` all that uv said."""

    def __init__(
        self, message: str, *, hint: str | None = None, package: str | None = None, reason: str = "", output: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.package = package
        self.reason = reason or message
        self.output = output
