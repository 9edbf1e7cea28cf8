"""A dbt project that was run: one model over the shop's tables, with one test; and the parser that dbt runs need."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from uv import find_uv_bin

from minisched.domain.pipeline import Document
from tests.requirements_of_tests import skip_or_fail

_PARSER = "collate-dbt-artifacts-parser"
_MODEL = "model.shop.order_total"
_PARENT = "model.shop.sales_order"
_TEST = "test.shop.not_null_order_total_order_id.1"


def dbt_parser(runtime: Path, directory: Path) -> Path:
    """A directory with the one package of the extra `dbt` that reading local files needs."""
    command = [find_uv_bin(), "pip", "install", "--quiet", "--python", str(runtime), "--no-deps"]
    done = subprocess.run(
        [*command, "--target", str(directory), _PARSER], check=False, capture_output=True, text=True, timeout=120
    )
    if done.returncode:
        skip_or_fail(f"{_PARSER} cannot be installed: {done.stderr[-300:]}")
    return directory


def write_dbt_files(directory: Path) -> Document:
    """The dbtConfigSource of a project in this directory."""
    manifest, results = directory / "manifest.json", directory / "run_results.json"
    nodes = {
        _MODEL: _model("order_total", "view", [_PARENT], "select * from sales_order")
        | {"description": "Totals of orders, from dbt.", "tags": ["finance"]}
        | {"columns": {"order_id": {"name": "order_id", "description": "The order.", "meta": {}, "tags": []}}},
        _PARENT: _model("sales_order", "table", [], "select 1"),
        _TEST: _node("not_null_order_total_order_id", "test", _TEST, [_MODEL])
        | {"column_name": "order_id", "config": {"enabled": True, "severity": "ERROR"}, "compiled_code": "select 1"}
        | {"test_metadata": {"name": "not_null", "kwargs": {"column_name": "order_id"}, "namespace": None}},
    }
    empty: Document = {}
    others = (
        "sources", "macros", "docs", "exposures", "metrics", "groups", "selectors", "disabled", "parent_map",
        "child_map", "group_map", "saved_queries", "semantic_models", "unit_tests",
    )  # fmt: skip
    metadata = {**_metadata("manifest/v12"), "adapter_type": "sqlite", "project_name": "shop"}
    manifest.write_text(json.dumps({"metadata": metadata, "nodes": nodes, **dict.fromkeys(others, empty)}))
    results.write_text(json.dumps({"metadata": _metadata("run-results/v6"), "results": [_result()], "elapsed_time": 1}))
    return {
        "dbtConfigType": "local",
        "dbtManifestFilePath": str(manifest),
        "dbtRunResultsFilePath": str(results),
    }


def _metadata(schema: str) -> Document:
    return {
        "dbt_schema_version": f"https://schemas.getdbt.com/dbt/{schema}.json",
        "dbt_version": "1.8.0",
        "generated_at": "2026-01-01T00:00:00.000000Z",
        "invocation_id": "1",
        "env": {},
    }


def _node(name: str, kind: str, unique_id: str, depends_on: list[str]) -> Document:
    return {
        "database": "default",
        "schema": "main",
        "name": name,
        "alias": name,
        "resource_type": kind,
        "package_name": "shop",
        "path": f"{name}.sql",
        "original_file_path": f"models/{name}.sql",
        "unique_id": unique_id,
        "fqn": ["shop", name],
        "checksum": {"name": "none", "checksum": ""},
        "tags": [],
        "description": "",
        "columns": {},
        "meta": {},
        "docs": {"show": True},
        "language": "sql",
        "compiled": True,
        "depends_on": {"macros": [], "nodes": depends_on},
        "refs": [],
        "sources": [],
        "metrics": [],
        "created_at": 1700000000.0,
    }


def _model(name: str, materialized: str, depends_on: list[str], sql: str) -> Document:
    config = {"enabled": True, "materialized": materialized, "tags": [], "meta": {}}
    code = {"raw_code": sql, "compiled_code": sql, "relation_name": f"main.{name}"}
    return {**_node(name, "model", f"model.shop.{name}", depends_on), "config": config, **code}


def _result() -> Document:
    times = {"started_at": "2026-01-01T00:00:00.000000Z", "completed_at": "2026-01-01T00:00:01.000000Z"}
    return {
        "status": "pass",
        "timing": [{"name": "execute", **times}],
        "thread_id": "Thread-1",
        "execution_time": 1.0,
        "adapter_response": {},
        "message": None,
        "failures": 0,
        "unique_id": _TEST,
        "compiled": True,
        "compiled_code": "",
        "relation_name": None,
    }
