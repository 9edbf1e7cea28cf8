"""Fixtures for every kind of test: where they live."""

from __future__ import annotations

pytest_plugins = ["tests.databases", "tests.real_runtimes"]
