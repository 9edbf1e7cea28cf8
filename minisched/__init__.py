"""minisched: schedules and runs OpenMetadata ingestion pipelines on one machine."""

from __future__ import annotations

__version__: str


def __getattr__(name: str) -> str:
    """The version when it is asked for: looking it up imports more than the command line needs to begin."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version

    return version("minisched")
