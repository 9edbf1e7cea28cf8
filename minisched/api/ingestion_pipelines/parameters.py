"""Parameters that several operations share."""

from __future__ import annotations

from typing import Annotated, Literal

from litestar.params import PathParameter, QueryParameter

Include = Literal["non-deleted", "deleted", "all"]

PipelineId = Annotated[str, PathParameter(name="pipeline_id", description="The pipeline's id, a UUID.")]
Fqn = Annotated[str, PathParameter(name="fqn", description="The fully qualified name, percent-encoded.")]
IdOrFqn = Annotated[str, PathParameter(name="pipeline", description="The pipeline's id or its FQN, percent-encoded.")]

RunId = Annotated[str, PathParameter(name="run_id", description="The run's id, a UUID.")]

Fields = Annotated[
    str | None,
    QueryParameter(name="fields", description="Comma-separated: owners, domains, pipelineStatuses, …; `*` is all."),
]
HardDelete = Annotated[
    bool, QueryParameter(name="hardDelete", description="Also forget it in the orchestrator and remove its history.")
]
Force = Annotated[
    bool, QueryParameter(name="force", description="With hardDelete: do not mind an orchestrator that is out of reach.")
]

LARGEST_MS = 253_402_300_799_999
