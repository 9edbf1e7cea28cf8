"""What an orchestrator says of a deploy, beyond that it is done."""

from __future__ import annotations

import json
import re
from typing import Any

_DONE = re.compile(r"Workflow \[.*?\] (has been \w+|is deployed already, unchanged)\.?\s*")


def notes_of(answer: Any) -> str | None:
    """What it does otherwise than asked; None for nothing. Its sentence may be wrapped as Airflow's plugin wraps it."""
    reason = answer.get("reason") if isinstance(answer, dict) else None
    try:
        sentence = str(json.loads(reason)["message"]) if reason else ""
    except (ValueError, KeyError, TypeError):
        sentence = str(reason)
    return _DONE.sub("", sentence, count=1) or None
