"""What workflows tell of themselves, without the secrets that their words may hold."""

from __future__ import annotations

from typing import Any

from minisched.observability import redact

# Words of OpenMetadata's own, which a badly chosen password may be equal to.
_NOT_FREE_TEXT = frozenset({"runId", "updateType", "pipelineState"})


def cleaned(node: Any) -> Any:
    """A copy of the JSON document, every known secret in its texts replaced by `*********`; keys stay as they are."""
    if isinstance(node, dict):
        return {key: value if key in _NOT_FREE_TEXT else cleaned(value) for key, value in node.items()}
    if isinstance(node, list):
        return [cleaned(item) for item in node]
    return redact(node) if isinstance(node, str) else node
