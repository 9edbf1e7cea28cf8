"""Which runtime the demo and bench use: the one that the settings lead to, made first if there is none."""

from __future__ import annotations

from minisched.cli.runtime_commands import progress_display
from minisched.runtimes import AUTO, DEFAULT_NAME, Runtime, RuntimeCatalog, RuntimeNotFound
from minisched.settings import Settings


def catalog_of(settings: Settings) -> RuntimeCatalog:
    return RuntimeCatalog(
        settings.runtimes_directory, default=settings.runtime.default, python_path=settings.runtime.python_path
    )


def ready_runtime(settings: Settings) -> Runtime | None:
    """The runtime of the settings, None when there is none. Raises RuntimeUnusable when it is there but broken."""
    try:
        return catalog_of(settings).resolve()
    except RuntimeNotFound:
        return None


def ready_or_new_runtime(settings: Settings) -> Runtime:
    """The runtime of the settings, created, with a progress display, when it is missing.

    Raises RuntimeUnusable, RuntimeBuildFailed. A path that the settings name is used or refused, never created.
    """
    catalog = catalog_of(settings)
    try:
        return catalog.resolve()
    except RuntimeNotFound:
        wanted = settings.runtime.default
        if "/" in wanted:
            raise
    name = DEFAULT_NAME if wanted == AUTO else wanted
    # One that is there and still not found is broken: `auto` passes those over.
    is_broken = any(runtime.name == name for runtime in catalog.list())
    with progress_display(f"creating the runtime {name}, once") as on_progress:
        return catalog.create(name, replace=is_broken, on_progress=on_progress)
