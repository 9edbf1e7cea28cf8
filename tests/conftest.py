"""Fixtures for every kind of test: where they live."""

from __future__ import annotations

from hypothesis import settings

# How long one example takes says more about the neighbours on this machine than about the code.
settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")

pytest_plugins = ["tests.databases", "tests.real_runtimes"]
