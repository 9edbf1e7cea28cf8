"""One server: built from settings, started, drained and closed in an order that loses nothing."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from http import HTTPStatus

import structlog
from litestar import Litestar

from minisched import __version__
from minisched.api.airflow_plugin import AirflowPlugin
from minisched.api.dependencies import ApiDependencies
from minisched.api.server import create_api
from minisched.app.accounts import jwt_verifier, make_first_admin
from minisched.app.airflow import airflow_client
from minisched.app.catalog import SandboxCatalog, bot_token, configured_connection, own_connection, secret_box
from minisched.app.draining import PROOF_S, drain
from minisched.app.execution import LauncherFactory, catchup_policy, outbox_options, spawn_limits, supervisor_options
from minisched.app.orchestrators import Orchestrators, orchestrators
from minisched.app.runtime_choice import RuntimeChoice
from minisched.app.tenure import Fence
from minisched.app.unfinished_moves import UnfinishedMoves
from minisched.clients.airflow import AirflowClient
from minisched.clients.connection import ConnectionSource
from minisched.clients.host_address import outgoing_address
from minisched.clients.local import LocalClient, new_run
from minisched.clients.openmetadata import OpenMetadataReporter
from minisched.clients.openmetadata_automations import report_failed_automation
from minisched.clients.openmetadata_directory import OpenMetadataDirectory
from minisched.clients.openmetadata_http import Timeouts
from minisched.clients.server_versions import ServerVersions
from minisched.domain import schedule as schedules
from minisched.domain.errors import StoreUnavailable
from minisched.domain.pipeline import Deployment
from minisched.domain.run import Run, RunKind
from minisched.domain.spread import Spread
from minisched.domain.versions import Line, is_version, line_of
from minisched.executor.automations import AutomationChildren
from minisched.executor.job import JobBuilder
from minisched.executor.launcher_client import LauncherClient
from minisched.executor.reporting import OutboxSender
from minisched.executor.retention import Retention
from minisched.executor.run_directory import RunDirectories
from minisched.executor.supervisor import Supervisor
from minisched.executor.validation import ValidatingChildren
from minisched.observability import configure_logging
from minisched.operations.accounts import Accounts
from minisched.operations.authentication import Authentication
from minisched.operations.use_cases import use_cases
from minisched.ports import AuditTrail, EntityDirectory, PipelineServiceClient
from minisched.scheduler import Backfill, Scheduler
from minisched.settings import Settings
from minisched.store import migrations
from minisched.store.accounts import SqlAccountStore
from minisched.store.audit import SqlAuditTrail
from minisched.store.deployments import SqlDeploymentStore
from minisched.store.engine import Database, open_database
from minisched.store.outbox import SqlOutbox
from minisched.store.pipelines import SqlPipelineStore
from minisched.store.placements import SqlPlacementStore
from minisched.store.received_logs import FileReceivedLogs
from minisched.store.runs import SqlRunStore
from minisched.store.schedules import SqlScheduleStore
from minisched.store.statuses import SqlPipelineStatusStore
from minisched.store.tick_history import SqlTickHistory
from minisched.store.watches import SqlWatches
from minisched.system_clock import SystemClock, offset_of

log = structlog.get_logger(__name__)


class Node:
    """Everything of one server, built but not started. `url` is where its own runs reach it."""

    def __init__(self, settings: Settings, url: str, stop_asked: threading.Event, fence: Fence) -> None:
        self.url = url
        self.settings = settings
        self._stop_asked = stop_asked
        self._streams_end = threading.Event()
        self._clock = SystemClock(offset_of(os.environ))
        self._box = secret_box(settings)
        self._database = _prepared_database(settings, fence)
        self._audit_trail = SqlAuditTrail(self._database, self._clock)
        self._database.have_witnessed(self._audit_trail.witness)
        self._account_store = SqlAccountStore(self._database)
        self._catalog = SandboxCatalog(settings, url, self._box, self._ingestion_version)
        self._pipelines = SqlPipelineStore(self._database, self._box)
        self._deployments = SqlDeploymentStore(self._database, self._box)
        self._placements = SqlPlacementStore(self._database, self._box)
        self._runs = SqlRunStore(self._database, self._box, self._clock)
        self._outbox = SqlOutbox(self._database)
        self._directories = RunDirectories(settings.data_dir / "runs")
        self._received = FileReceivedLogs(settings.data_dir / "received_logs", self._largest_log)
        self._source = ConnectionSource(own_connection(settings, url))
        self._server_versions = ServerVersions(self._source.complete)
        self._choice = RuntimeChoice(settings, self._server_versions)
        self._launchers = LauncherFactory(settings)
        self._supervisor = self._make_supervisor()
        self._schedules = SqlScheduleStore(self._database, self._box)
        self._history = SqlTickHistory(self._database, self._box)
        self._judge = ValidatingChildren(
            connect=self._supervisor.connect,
            launcher=self._supervisor.launcher,
            warm=self._supervisor.warm,
            workflow_classes=settings.runtime.workflow_classes,
        )
        self._scheduler = self._make_scheduler()
        self._reporter = OpenMetadataReporter(
            complete=self._source.complete,
            timeouts=_timeouts(settings),
            server_version=self._server_versions.asked,
        )
        self._sender = self._make_sender()
        self._retention = Retention(
            runs=self._runs,
            ticks=self._history,
            directories=self._directories,
            received=self._received,
            clock=self._clock,
            retention=timedelta(days=settings.executor.retention_days),
            tick_retention=timedelta(days=settings.scheduler.tick_retention_days),
            audit_trail=self._audit_trail,
            audit_retention=timedelta(days=settings.auth.audit_retention_days),
        )
        self.api = self._make_api()

    def start(self, *, after_crash: bool = False) -> None:
        """Account for what an earlier server left, then ring and report; traffic comes after this (D4)."""
        make_first_admin(self.settings, Accounts(self._account_store, self._clock))
        self._supervisor.start()
        if self.settings.scheduler.enabled:
            self._scheduler.start()
        if "airflow" in self._orchestrators.places.in_use():
            self._work_with_airflow()
        self._sender.start()
        self._retention.start()
        self._unfinished_moves.start()
        if after_crash and self._orchestrators.run_here:
            threading.Thread(target=self._reconcile, name="reconciliation", daemon=True).start()

    def _reconcile(self) -> None:
        try:
            self._cases.reconciliation.reconcile()
        except StoreUnavailable as error:
            log.warning("server.not_reconciled", error=str(error))

    def drain(self) -> None:
        """What the settings want to become of running runs before the server leaves; it answers until they have ended,
        because their workflows may have to tell the sandbox."""
        try:
            drain(self._supervisor, self._runs, self._clock, self.settings.executor)
        except StoreUnavailable as error:
            log.warning("server.not_drained", error=str(error))
        self._streams_end.set()

    def leave(self) -> None:
        """Another server has taken over: begin nothing more, and let go of whoever follows a log."""
        self._unfinished_moves.close()
        self._supervisor.drain()
        self._streams_end.set()

    def reload(self, settings: Settings) -> None:
        """Use what can be changed without a restart: see `reloading`."""
        self.settings = settings
        configure_logging(settings.logging.format, settings.logging.level)
        self._supervisor.options = supervisor_options(settings)
        self._sender.options = outbox_options(settings)
        self._retention.retention = timedelta(days=settings.executor.retention_days)
        self._retention.tick_retention = timedelta(days=settings.scheduler.tick_retention_days)
        self._retention.audit_retention = timedelta(days=settings.auth.audit_retention_days)
        self._scheduler.policy = catchup_policy(settings)

    def close(self) -> None:
        """Stop every thread and give everything back; runs that still go on belong to their guards."""
        self._unfinished_moves.close()
        self._scheduler.close()
        self._judge.close()
        self._supervisor.close()
        self._sender.close()
        self._reporter.close()
        self._retention.close()
        self._catalog.close()
        self._database.close()

    # --- parts ------------------------------------------------------------------------------------------------------

    def _make_supervisor(self) -> Supervisor:
        settings = self.settings
        jobs = JobBuilder(
            deployments=self._deployments,
            complete=self._source.complete,
            workflow_classes=settings.runtime.workflow_classes,
            environment=settings.runtime.environment,
        )
        return Supervisor(
            runs=self._runs,
            directories=self._directories,
            launcher_of=lambda name: self._launchers.make(name, self._wake),
            default_runtime=settings.runtime.default,
            job_of=jobs.job_of,
            options=supervisor_options(settings),
            clock=self._clock,
            on_finished=lambda _: self._sender.wake(),
        )

    def _wake(self) -> None:
        self._supervisor.wake()

    def _work_with_airflow(self) -> None:
        """Airflow fires schedules of its own; what was deployed on this machine goes on here until it is moved."""
        if self.settings.client == "airflow" and (here := self._deployments.count()):
            log.warning("pipelines.still_here", pipelines=here, reason="Move them with: minisched pipeline move")
        threading.Thread(target=self._greet_airflow, name="airflow", daemon=True).start()

    def _greet_airflow(self) -> None:
        """Learns its version, and says at once when it cannot be used."""
        if (airflow := self._orchestrators.airflow) is None:
            log.warning("airflow.not_named", reason="It has pipelines: set airflow.url and airflow.password.")
            return
        status = airflow.get_service_status()
        if status.code == HTTPStatus.OK:
            log.info("airflow.healthy", url=self.settings.airflow.url, version=status.version)
        else:
            log.warning("airflow.not_healthy", reason=status.reason)

    def _ingestion_version(self) -> str | None:
        if self.settings.client == "airflow" and self._orchestrators.airflow is not None:
            return self._orchestrators.airflow.version
        return next((status.version for status in self._supervisor.statuses() if status.version), None)

    def _line_of_runs(self) -> Line | None:
        version = self._ingestion_version()
        return line_of(version) if version and is_version(version) else None

    def _make_scheduler(self) -> Scheduler:
        return Scheduler(
            schedules=self._schedules,
            watches=SqlWatches(self._database),
            executor=self._supervisor,
            run_of=self._run_of,
            clock=self._clock,
            policy=catchup_policy(self.settings),
            prepare=self._know_servers,
        )

    def _know_servers(self, pipeline_ids: Sequence[str]) -> None:
        """Have the versions at hand that decide about runtimes, before a transaction waits for them."""
        if self._choice.depends_on_servers:
            for pipeline_id in pipeline_ids:
                if (deployment := self._deployments.get(pipeline_id)) is not None:
                    self._choice.of(deployment)

    def _run_of(
        self, deployment: Deployment, run_id: str, scheduled_for: datetime, kind: RunKind, requested_by: str
    ) -> Run:
        start = self._spread.start_of(scheduled_for, pipeline_id=deployment.id, fqn=deployment.fqn)
        return new_run(
            deployment,
            run_id=run_id,
            kind=kind,
            clock=self._clock,
            runtime=self._choice.known(deployment) or self._choice.default,
            requested_by=requested_by,
            scheduled_for=scheduled_for,
            not_before=start if kind is RunKind.SCHEDULED else None,
        )

    @property
    def _spread(self) -> Spread:
        return Spread(self.settings.scheduler.spread_s, self.settings.scheduler.spread_of_pipelines)

    def _make_sender(self) -> OutboxSender:
        return OutboxSender(
            outbox=self._outbox,
            runs=self._runs,
            deployments=self._deployments,
            reporter=self._reporter,
            clock=self._clock,
            options=outbox_options(self.settings),
        )

    def _make_orchestrators(self) -> Orchestrators:
        return orchestrators(
            self.settings,
            local=self._make_local_client,
            airflow=self._make_airflow_client,
            placements=self._placements,
            deployments=self._deployments,
            clock=self._clock,
        )

    def _make_airflow_client(self) -> AirflowClient:
        return airflow_client(
            self.settings,
            complete=self._source.complete,
            server_version=self._server_versions.asked,
            pipelines=self._pipelines,
        )

    def _make_local_client(self) -> LocalClient:
        return LocalClient(
            deployments=self._deployments,
            runs=self._runs,
            logs=self._directories,
            executor=self._supervisor,
            health=self._supervisor,
            alarm=self._scheduler,
            automations=AutomationChildren(
                connect=self._connect,
                directories=self._directories,
                limits=lambda: spawn_limits(self.settings, timeout_s=self.settings.executor.automation_timeout_s),
                complete=self._source.complete,
                clock=self._clock,
                report_failure=lambda workflow, why: report_failed_automation(workflow, why, _timeouts(self.settings)),
            ),
            clock=self._clock,
            chooser=self._choice,
            judge=self._judge,
            host_ip=self._host_ip,
            kill_patience_s=self.settings.executor.stop_grace_s + PROOF_S,
        )

    def _largest_log(self) -> int | None:
        largest_mb = self.settings.executor.log_limit_mb
        return None if largest_mb is None else largest_mb * 1024 * 1024

    def _connect(self, runtime: str) -> LauncherClient:
        self._supervisor.warm(runtime)
        return self._supervisor.connect(runtime)

    def _host_ip(self) -> str:
        return self.settings.host_ip or outgoing_address(self.settings.openmetadata.host_port or self.url)

    def _directory(self) -> EntityDirectory:
        connection = configured_connection(self.settings)
        if connection is not None:
            return OpenMetadataDirectory(connection, _timeouts(self.settings))
        return self._catalog.directory

    def _make_api(self) -> Litestar:
        settings = self.settings
        self._orchestrators = self._make_orchestrators()
        self._unfinished_moves = UnfinishedMoves(self._orchestrators.mover)
        client = self._orchestrators.client
        self._cases = use_cases(
            pipelines=self._pipelines,
            statuses=SqlPipelineStatusStore(self._database, self._box),
            deployments=self._deployments,
            runs=self._runs,
            schedules=self._schedules,
            history=self._history,
            backfills=Backfill(
                deployments=self._deployments,
                schedules=self._schedules,
                executor=self._supervisor,
                run_of=self._run_of,
            ),
            logs=self._directories,
            received_logs=self._received,
            executor=self._supervisor,
            client=client,
            mover=self._orchestrators.mover,
            placements=self._placements,
            directory=self._directory(),
            clock=self._clock,
            validate_schedule=schedules.validate,
        )
        if configured_connection(settings) is None:  # then the services of pipelines are those of the sandbox
            self._catalog.dependents = self._cases.service_pipelines
        dependencies = ApiDependencies(
            use_cases=self._cases,
            outbox=self._outbox,
            deployments=self._deployments,
            runtimes=self._supervisor,
            readiness={
                "server": self._stop_problem,
                "store": self._store_problem,
                "executor": self._executor_problem,
            },
            authenticator=Authentication(
                self._account_store,
                self._clock,
                bot_token=bot_token(settings) if settings.sandbox.enabled else None,
                jwt=jwt_verifier(settings),
            ),
            audit_trail=self._audit_trail,
            version=__version__,
            line_of_runs=self._line_of_runs,
            airflow_plugin=_airflow_plugin(settings, client, self._audit_trail),
            bound_host=settings.server.host,
            public_url=settings.server.public_url,
            stopping=self._streams_end,
            max_body_bytes=settings.server.max_body_mb * 1024 * 1024,
        )
        return create_api(dependencies, self._catalog.routes if settings.sandbox.enabled else [])

    def _stop_problem(self) -> str | None:
        return "It is about to stop." if self._stop_asked.is_set() else None

    def _store_problem(self) -> str | None:
        try:
            self._database.ping()
        except StoreUnavailable as error:
            return str(error)
        return None

    def _executor_problem(self) -> str | None:
        return None if self._supervisor.healthy else "The supervisor's thread is not running."


def _airflow_plugin(settings: Settings, client: PipelineServiceClient, audit_trail: AuditTrail) -> AirflowPlugin:
    password = settings.airflow_plugin.password
    return AirflowPlugin(
        client=client,
        username=settings.airflow_plugin.username,
        password=password.get_secret_value() if password else None,
        audit_trail=audit_trail,
    )


def _timeouts(settings: Settings) -> Timeouts:
    return Timeouts(settings.openmetadata.connect_timeout_s, settings.openmetadata.read_timeout_s)


def _prepared_database(settings: Settings, fence: Fence) -> Database:
    url = settings.database_url.get_secret_value()
    prepared = migrations.prepare(url)
    if prepared.upgraded:
        log.info("database.upgraded", **prepared.facts())
    database = open_database(
        url, busy_timeout_s=settings.database.busy_timeout_s, pool_size=settings.database.pool_size
    )
    database.fence_off(fence)
    return database
