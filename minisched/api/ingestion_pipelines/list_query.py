"""The list request (contract §3.2): from query parameters to a question that the store can answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from minisched.api import cursors
from minisched.domain.errors import InvalidInput
from minisched.domain.pipeline import PIPELINE_TYPES
from minisched.ports import PipelineQuery

MAX_LIMIT = 1_000_000

_AGENT_TYPES: dict[str, Sequence[str]] = {
    "metadata": ("metadata", "usage", "lineage", "profiler", "autoClassification", "dbt", "policyAgent"),
    "application": ("application",),
}

AgentType = Literal["metadata", "application"]


@dataclass(frozen=True, slots=True)
class ListRequest:
    """Query parameters as they came, None where they did not."""

    service: str | None
    test_suite: str | None
    pipeline_type: str | None
    agent_type: AgentType | None
    service_type: str | None
    application_type: str | None
    provider: str | None
    limit: int
    before: str | None
    after: str | None
    include: str
    sort_field: str | None
    sort_order: str

    @property
    def by_display_name(self) -> bool:
        """Other sort fields are ignored, as OpenMetadata does."""
        return self.sort_field == "displayName"

    def query(self) -> PipelineQuery | None:
        """None when nothing can match. Raises InvalidInput."""
        if self.before is not None and self.after is not None:
            raise InvalidInput("Only one of before or after query parameter allowed")
        before = cursors.decode(self.before, by_display_name=self.by_display_name)
        after = cursors.decode(self.after, by_display_name=self.by_display_name)
        types = self._pipeline_types()
        if types is not None and not types:
            return None
        return PipelineQuery(
            service=self.service,
            test_suite=self.test_suite,
            pipeline_types=types or (),
            service_type=self.service_type,
            application_type=self.application_type,
            provider=self.provider,
            include=self.include,
            sort_by_display_name=self.by_display_name,
            descending=self.by_display_name and self.sort_order == "desc",
            limit=self.limit,
            before=before,
            after=after,
        )

    def _pipeline_types(self) -> Sequence[str] | None:
        """The wanted types; None when all are, empty when none is left."""
        wanted = None
        if self.pipeline_type:
            named = [name.strip() for name in self.pipeline_type.split(",")]
            wanted = [name for name in named if name in PIPELINE_TYPES]
        if self.agent_type is None:
            return wanted
        of_agent = _AGENT_TYPES[self.agent_type]
        return of_agent if wanted is None else [name for name in wanted if name in of_agent]
