"""Runs workflows of the real ingestion package, one after the other: executed by its interpreter, never imported.

Reads `{"workflows": [{"name", "class": "module:Class", "config"}…]}` from standard input and writes a line of JSON per
workflow to the file that is its argument: `{"name", "error": null | text, "steps": [StepSummary…]}`. An error is that
of creating, executing or judging the workflow. An automation has the class "automation".
"""

import gc

gc.disable()

import importlib  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
import traceback  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402


def main() -> None:
    orders = json.load(sys.stdin)["workflows"]
    with Path(sys.argv[1]).open("a", encoding="utf-8") as results:
        for order in orders:
            print(json.dumps(outcome_of(order)), file=results, flush=True)
    sys.stdout.flush()
    os._exit(0)


def outcome_of(order: dict[str, Any]) -> dict[str, Any]:
    try:
        steps = run_automation(order["config"]) if order["class"] == "automation" else run_workflow(order)
    except Exception as error:  # noqa: BLE001 - whatever the workflow says is the result
        traceback.print_exc()
        return {"name": order["name"], "error": f"{type(error).__name__}: {error}", "steps": []}
    return {"name": order["name"], "error": None, "steps": steps}


def run_workflow(order: dict[str, Any]) -> list[Any]:
    module, _, name = order["class"].partition(":")
    workflow = getattr(importlib.import_module(module), name).create(order["config"])
    # The profiler collects garbage after every metric; over the imported modules that takes most of a second each time.
    gc.freeze()
    workflow.execute()
    workflow.raise_from_status()
    status: list[Any] = json.loads(workflow.build_ingestion_status().model_dump_json(exclude_none=True))
    return status


def run_automation(config: dict[str, Any]) -> list[Any]:
    from metadata.automations.execute_runner import execute
    from metadata.ingestion.api.parser import parse_automation_workflow_gracefully

    execute(parse_automation_workflow_gracefully(config))
    return []


main()
