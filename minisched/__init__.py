"""minisched: schedules and runs OpenMetadata ingestion pipelines on one machine."""

from importlib.metadata import version

__version__ = version("minisched")
