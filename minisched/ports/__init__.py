"""The seams of minisched: what each room offers to those above it, written so that a stranger could implement it.

Instants are aware UTC datetimes. Documents are JSON-like dicts with secrets in clear; whoever writes them to disk
encrypts, whoever sends them to a person masks. Every method may raise `StoreUnavailable` or `OrchestratorUnavailable`
when what is behind it does not answer; other errors are named per method.
"""

from minisched.ports.accounts import (
    AccountStore,
    ApiToken,
    AuditEntry,
    AuditTrail,
    Authenticator,
    JwtVerifier,
    User,
)
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
    RunQuery,
    RunStore,
    ScheduleStore,
    Settled,
    TickHistory,
    Watches,
)
from minisched.ports.openmetadata import EntityDirectory, EntityRef, StatusReporter
from minisched.ports.orchestrator import ClientResponse, LogPage, PipelineServiceClient, RunOptions

__all__ = [
    "Absence",
    "AccountStore",
    "Alarm",
    "ApiToken",
    "AuditEntry",
    "AuditTrail",
    "Authenticator",
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
    "JwtVerifier",
    "LogPage",
    "Outbox",
    "OutboxEntry",
    "PipelineJudge",
    "PipelinePage",
    "PipelineQuery",
    "PipelineServiceClient",
    "PipelineStatusStore",
    "PipelineStore",
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
    "User",
    "Watches",
]
