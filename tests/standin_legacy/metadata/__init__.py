# mypy: ignore-errors
"""The shape of openmetadata-ingestion up to its line 1.1, for tests."""
