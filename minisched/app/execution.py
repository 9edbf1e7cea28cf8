"""What the settings mean for launchers and for the limits of runs, with a server or without."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from minisched import __version__
from minisched.domain.queueing import ServiceLimits
from minisched.domain.retry import Backoff
from minisched.domain.secrets import is_secret_key
from minisched.domain.tick import CatchUpPolicy
from minisched.executor.launcher_client import SpawnLimits
from minisched.executor.launcher_start import LauncherOptions, RuntimeSpec
from minisched.executor.launchers import Launcher
from minisched.executor.reporting import OutboxOptions
from minisched.executor.supervisor_options import SupervisorOptions
from minisched.runtimes import RuntimeCatalog
from minisched.runtimes.runtime import fingerprint_of
from minisched.settings import Settings
from minisched.worker import protocol


class LauncherFactory:
    """Makes launchers as the settings want them."""

    def __init__(self, settings: Settings) -> None:
        runtime = settings.runtime
        self._directory = settings.data_dir / "launchers"
        self._directory.mkdir(mode=0o700, exist_ok=True)
        self._catalog = RuntimeCatalog(
            settings.runtimes_directory, default=runtime.default, python_path=runtime.python_path
        )
        self._options = LauncherOptions(
            spares=settings.launcher.spares,
            linger_s=settings.launcher.linger_s,
            start_timeout_s=settings.launcher.start_timeout_s,
            recycle_after_runs=settings.launcher.recycle_after_runs,
            python_path=tuple(str(path) for path in runtime.python_path),
            preload=tuple(sorted({path.partition(":")[0] for path in runtime.workflow_classes.values()})),
            # Anybody of our user can read a launcher's environment; what is secret reaches runs in their jobs.
            environment={name: value for name, value in runtime.environment.items() if not is_secret_key(name)},
        )

    def make(self, name: str, on_change: Callable[[], None]) -> Launcher:
        return Launcher(name, self._spec, self._directory, self._options, on_change)

    def _spec(self, name: str) -> RuntimeSpec:
        """Raises RuntimeNotFound, RuntimeUnusable."""
        runtime = self._catalog.resolve(name)
        # A launcher keeps the modules and the worker code that it has imported: another of either needs another one.
        fingerprint = fingerprint_of(runtime.fingerprint, __version__, protocol.PROTOCOL, self._options)
        return RuntimeSpec(runtime.name, runtime.python, runtime.version, fingerprint)


def spawn_limits(settings: Settings, *, timeout_s: float | None) -> SpawnLimits:
    """What a job outside the queue may use."""
    executor = settings.executor
    return SpawnLimits(
        grace_s=executor.stop_grace_s,
        timeout_s=timeout_s,
        memory_limit_mb=executor.memory_limit_mb,
        log_limit_mb=executor.log_limit_mb,
        nice=executor.nice,
        open_files=executor.open_files,
    )


def supervisor_options(settings: Settings) -> SupervisorOptions:
    """What runs of the queue may use, and how many of them at once."""
    executor = settings.executor
    return SupervisorOptions(
        slots=executor.slots,
        grace_s=executor.stop_grace_s,
        timeout_s=executor.timeout_s,
        memory_limit_mb=executor.memory_limit_mb,
        log_limit_mb=executor.log_limit_mb,
        nice=executor.nice,
        open_files=executor.open_files,
        poll_s=executor.poll_s,
        services=ServiceLimits(executor.max_runs_per_service, executor.max_runs_of_service),
        backoff=Backoff(executor.retry_backoff == "exponential", executor.retry_max_delay_s),
    )


def outbox_options(settings: Settings) -> OutboxOptions:
    """How persistently OpenMetadata is told how runs ended."""
    outbox = settings.outbox
    return OutboxOptions(outbox.first_delay_s, outbox.max_delay_s, outbox.max_age_s)


def catchup_policy(settings: Settings) -> CatchUpPolicy:
    """What becomes of instants that come late."""
    scheduler = settings.scheduler
    return CatchUpPolicy(
        misfire_grace=timedelta(seconds=scheduler.misfire_grace_s),
        window=timedelta(seconds=scheduler.catchup_window_s),
        runs=scheduler.catchup_runs,
        fires=scheduler.enabled,
    )
