"""Under which task a pipeline's log is found: the plugin wants it named, and callers may know the name only."""

from __future__ import annotations

from collections.abc import Iterator

from minisched.domain.pipeline import PIPELINE_TYPES, task_id

_TASKS = tuple(dict.fromkeys(task_id(pipeline_type) for pipeline_type in PIPELINE_TYPES))
_MOST_NAMES = 10_000


class LogTasks:
    """By workflow id, as it was deployed or found out; bounded, because it can be found out again."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def note(self, name: str, pipeline_type: str) -> None:
        self.found(name, task_id(pipeline_type))

    def found(self, name: str, task: str) -> None:
        if len(self._known) >= _MOST_NAMES:
            self._known.clear()
        self._known[name] = task

    def of(self, name: str) -> Iterator[str]:
        """The one to try first, and the others after it."""
        first = self._known.get(name)
        if first is not None:
            yield first
        yield from (task for task in _TASKS if task != first)
