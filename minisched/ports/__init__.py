"""The seams of minisched: what each room offers to those above it, written so that a stranger could implement it.

Instants are aware UTC datetimes. Documents are JSON-like dicts with secrets in clear; whoever writes them to disk
encrypts, whoever sends them to a person masks. Every method may raise `StoreUnavailable` or `OrchestratorUnavailable`
when what is behind it does not answer; other errors are named per method.
"""

from minisched.ports.execution import (
    Alarm,
    AutomationRunner,
    BackfillQueue,
    Clock,
    Executor,
    PipelineJudge,
    ReceivedLogs,
    RunLogs,
    RuntimeChooser,
    RuntimeHealth,
    RuntimeStatus,
)
from minisched.ports.kept import (
    Absence,
    DeploymentStore,
    DocumentStore,
    Judge,
    Outbox,
    OutboxEntry,
    PipelinePage,
    PipelineQuery,
    PipelineStatusStore,
    PipelineStore,
    PlacementStore,
    RunQuery,
    RunStore,
    ScheduleStore,
    Settled,
    TickHistory,
    Watches,
)
from minisched.ports.openmetadata import EntityDirectory, EntityRef, StatusReporter
from minisched.ports.orchestrator import (
    ClientResponse,
    LogPage,
    Moved,
    PipelineMover,
    PipelineServiceClient,
    RunOptions,
)

__all__ = [
    "Absence",
    "Alarm",
    "AutomationRunner",
    "BackfillQueue",
    "ClientResponse",
    "Clock",
    "DeploymentStore",
    "DocumentStore",
    "EntityDirectory",
    "EntityRef",
    "Executor",
    "Judge",
    "LogPage",
    "Moved",
    "Outbox",
    "OutboxEntry",
    "PipelineJudge",
    "PipelineMover",
    "PipelinePage",
    "PipelineQuery",
    "PipelineServiceClient",
    "PipelineStatusStore",
    "PipelineStore",
    "PlacementStore",
    "ReceivedLogs",
    "RunLogs",
    "RunOptions",
    "RunQuery",
    "RunStore",
    "RuntimeChooser",
    "RuntimeHealth",
    "RuntimeStatus",
    "ScheduleStore",
    "Settled",
    "StatusReporter",
    "TickHistory",
    "Watches",
]
