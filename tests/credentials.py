"""How tests show servers that they may do everything."""

from __future__ import annotations

from minisched.cli.credentials import basic

ADMIN_PASSWORD = "s3same of the tests"
ADMIN = ("admin", ADMIN_PASSWORD)
ADMIN_HEADERS = {"Authorization": basic(*ADMIN)}
# What a run of a server that lives in the test's own process would show.
RUN_TOKEN = "the token of runs in tests"
