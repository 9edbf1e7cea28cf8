"""A stand-in for the ingestion package: the same entry points, and behaviours that a test can ask for."""
