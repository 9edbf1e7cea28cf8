"""SIGHUP: what a running server can take over from its settings, and what has to wait for a restart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import structlog

from minisched.domain.errors import ConfigurationError
from minisched.settings import Settings
from minisched.settings.tree import leaves

log = structlog.get_logger(__name__)

# What is read anew whenever it is needed. A new value counts for what begins after it: runs keep their limits.
RELOADABLE = frozenset(
    {
        "executor.automation_timeout_s",
        "executor.drain",
        "executor.drain_wait_s",
        "executor.log_limit_mb",
        "executor.max_runs_of_service",
        "executor.max_runs_per_service",
        "executor.memory_limit_mb",
        "executor.nice",
        "executor.open_files",
        "executor.poll_s",
        "executor.retention_days",
        "executor.retry_backoff",
        "executor.retry_max_delay_s",
        "executor.slots",
        "executor.timeout_s",
        "logging.format",
        "logging.level",
        "outbox.first_delay_s",
        "outbox.max_age_s",
        "outbox.max_delay_s",
        "scheduler.catchup_runs",
        "scheduler.catchup_window_s",
        "scheduler.misfire_grace_s",
        "scheduler.spread_of_pipelines",
        "scheduler.spread_s",
        "scheduler.tick_retention_days",
    }
)


class Reloadable(Protocol):
    """A server; `settings` are those that it works with."""

    settings: Settings

    def reload(self, settings: Settings) -> None: ...


def reload(server: Reloadable, read_again: Callable[[], Settings] | None) -> None:
    """Take over what can be taken over; settings that are wrong change nothing."""
    if read_again is None:
        log.warning("settings.not_reloaded", reason="This server was given its settings and cannot read them again.")
        return
    try:
        fresh = read_again()
    except ConfigurationError as error:
        log.error("settings.not_reloaded", reason=str(error))
        return
    changed = changed_names(server.settings, fresh)
    server.reload(merged(server.settings, fresh))
    log.info("settings.reloaded", changed=sorted(changed & RELOADABLE))
    if late := sorted(changed - RELOADABLE):
        log.warning("settings.need_a_restart", names=late)


def changed_names(old: Settings, new: Settings) -> set[str]:
    """Dotted names of the settings that differ."""
    return {leaf.name for leaf in leaves() if _value(old, leaf.path) != _value(new, leaf.path)}


def merged(old: Settings, new: Settings) -> Settings:
    """The old settings with the reloadable values of the new ones."""
    sections: dict[str, dict[str, object]] = {}
    for name in RELOADABLE:
        section, _, key = name.partition(".")
        sections.setdefault(section, {})[key] = _value(new, (section, key))
    update = {section: getattr(old, section).model_copy(update=values) for section, values in sections.items()}
    return old.model_copy(update=update)


def _value(settings: Settings, path: tuple[str, ...]) -> object:
    value: object = settings
    for part in path:
        value = getattr(value, part)
    return value
