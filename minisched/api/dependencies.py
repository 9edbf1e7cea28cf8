"""What the API needs from whoever composes the server, and how handlers get it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from litestar.di import Provide

from minisched.api.access import Admission
from minisched.api.airflow_plugin import AirflowPlugin
from minisched.api.errors import AnyRequest
from minisched.api.representation import EntityView
from minisched.api.streams import Streams
from minisched.domain.access import RUN, Principal
from minisched.domain.versions import Line
from minisched.operations.use_cases import UseCases
from minisched.ports import AuditTrail, Authenticator, DeploymentStore, Outbox, RuntimeHealth

# Answers None when all is well, else a sentence that says what is not. Must not block for long.
ReadinessCheck = Callable[[], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiDependencies:
    """The use cases and ports behind the API, and how it presents itself.

    `bound_host` is where the server listens: on loopback the Host and Origin headers are checked. `public_url` is the
    address by which callers know the server, when it is another. `stopping` is set when the server is about to stop, so
    that streams end. `line_of_runs` is the line of the ingestion package of the runs that report here, as far as it is
    known. `authenticator` says who a caller is, and `audit_trail` keeps what they changed. Without an `airflow_plugin`
    its routes are not served.
    """

    use_cases: UseCases
    outbox: Outbox
    deployments: DeploymentStore
    runtimes: RuntimeHealth
    readiness: Mapping[str, ReadinessCheck]
    authenticator: Authenticator
    audit_trail: AuditTrail
    version: str
    line_of_runs: Callable[[], Line | None] = lambda: None
    airflow_plugin: AirflowPlugin | None = None
    bound_host: str = "127.0.0.1"
    public_url: str | None = None
    stopping: threading.Event = field(default_factory=threading.Event)
    max_body_bytes: int = 32 * 1024 * 1024
    max_streams: int = 100


class Readiness:
    """Whether runs can be accepted: every check is content, and not every runtime has failed."""

    def __init__(self, checks: Mapping[str, ReadinessCheck], runtimes: RuntimeHealth) -> None:
        self._checks = checks
        self._runtimes = runtimes

    def problems(self) -> list[str]:
        found = [f"{name}: {problem}" for name, check in self._checks.items() if (problem := check()) is not None]
        statuses = self._runtimes.statuses()
        if statuses and all(status.state == "failed" for status in statuses):
            found += [f"runtime {status.name}: {status.problem or 'failed'}" for status in statuses]
        return found

    def runtime_states(self) -> dict[str, str]:
        return {status.name: status.state for status in self._runtimes.statuses()}

    def memory_limits(self) -> dict[str, str]:
        """By runtime, as far as its launcher has told: cgroup or watching."""
        statuses = self._runtimes.statuses()
        return {status.name: status.memory_limits for status in statuses if status.memory_limits}


def providers(dependencies: ApiDependencies) -> dict[str, Provide]:
    """By the names that handlers use as parameters."""
    cases = dependencies.use_cases
    public_url = dependencies.public_url.rstrip("/") if dependencies.public_url else None

    def view(request: AnyRequest) -> EntityView:
        is_run = principal(request).via == RUN
        line = dependencies.line_of_runs() if is_run else None
        return EntityView(public_url or f"{request.url.scheme}://{request.url.netloc}", line)

    def principal(request: AnyRequest) -> Principal:
        found: Principal = request.scope["user"]
        return found

    def admission(request: AnyRequest) -> Admission:
        return Admission(dependencies.authenticator, request)

    def user(request: AnyRequest) -> str:
        return principal(request).name

    return {
        "pipelines": _always(cases.pipelines),
        "lifecycle": _always(cases.lifecycle),
        "entity_runs": _always(cases.entity_runs),
        "statuses": _always(cases.statuses),
        "pipeline_logs": _always(cases.pipeline_logs),
        "streamed_logs": _always(cases.streamed_logs),
        "progress": _always(cases.progress),
        "runs": _always(cases.runs),
        "instants": _always(cases.instants),
        "simulations": _always(cases.simulations),
        "deployment_cases": _always(cases.deployments),
        "moves": _always(cases.moves),
        "outbox": _always(dependencies.outbox),
        "deployments": _always(dependencies.deployments),
        "audit_trail": _always(dependencies.audit_trail),
        "runtimes": _always(dependencies.runtimes),
        "readiness": _always(Readiness(dependencies.readiness, dependencies.runtimes)),
        "streams": _always(Streams(limit=dependencies.max_streams, stopping=dependencies.stopping)),
        "view": Provide(view, sync_to_thread=False),
        "user": Provide(user, sync_to_thread=False),
        "principal": Provide(principal, sync_to_thread=False),
        "admission": Provide(admission, sync_to_thread=False),
    }


def _always(value: Any) -> Provide:
    return Provide(lambda: value, use_cache=True, sync_to_thread=False)
