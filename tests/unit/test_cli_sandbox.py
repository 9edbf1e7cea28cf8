"""`minisched sandbox`: the tree as people see it, the export as scripts read it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
from click.testing import CliRunner, Result

from minisched.cli import command_line
from minisched.cli.invocation import Invocation

COLUMNS = [{"name": "id", "dataType": "INT"}, {"name": "note", "dataType": "TEXT"}]
TABLE = {
    "type": "table",
    "name": "[bold]orders[/]",
    "tableType": "Regular",
    "columns": COLUMNS,
    "rowCount": 120.0,
    "tests": [{"name": "unique"}],
    "upstream": 2,
    "children": [],
}
SERVICE = {"type": "databaseService", "name": "shop", "serviceType": "SQLite", "children": [TABLE]}
EXPORT = '{"kind": "user", "document": {"name": "ä"}}\n{"kind": "user", "document": {"name": "b"}}\n'


def _call(*arguments: str) -> Result:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/tree"):
            body: dict[str, Any] = {"services": [SERVICE], "lineageEdges": 0, "counts": {"table": 1}}
            return httpx.Response(200, json=body)
        return httpx.Response(200, text=EXPORT)

    invocation = Invocation(transport=httpx.MockTransport(answer))
    return CliRunner().invoke(command_line, ["--url", "http://127.0.0.1:8580", "sandbox", *arguments], obj=invocation)


def test_the_tree_shows_what_is_known_of_each_thing() -> None:
    output = _call("tree").output
    assert "1 table" in output
    assert "shop  SQLite" in output
    assert "[bold]orders[/]  Regular, 2 columns, 1 tests, 120 rows, 2 upstream" in output
    assert "note" not in output


def test_the_tree_shows_columns_when_asked() -> None:
    assert "note  TEXT" in _call("tree", "--columns").output


def test_the_tree_as_json_is_the_server_s() -> None:
    assert json.loads(_call("tree", "--json").output)["services"] == [SERVICE]


def test_the_export_is_lines_of_json_or_one_array(tmp_path: Path) -> None:
    assert _call("export").output == EXPORT
    assert [line["document"]["name"] for line in json.loads(_call("export", "--json").output)] == ["ä", "b"]
    _call("export", str(tmp_path / "all.jsonl"))
    assert (tmp_path / "all.jsonl").read_text(encoding="utf-8") == EXPORT
