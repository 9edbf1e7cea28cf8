"""How the API describes itself: request bodies from the models that check them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from pydantic import BaseModel


def takes(
    model: type[BaseModel], *, example: Any = None, media_type: str = "application/json", required: bool = True
) -> type[Operation]:
    """An operation whose body is this model; handlers take the bytes and parse them themselves.

    The framework's own parsing answers a body whose property is named like a dependency with an error 500.
    """
    schema = model.model_json_schema(by_alias=True)
    described = OpenAPIMediaType(schema=_inlined(schema), example=example)

    @dataclass
    class WithBody(Operation):
        def __post_init__(self) -> None:
            self.request_body = RequestBody(content={media_type: described}, required=required)

    return WithBody


class _RawSchema(Schema):
    """A JSON schema as pydantic makes it, passed through unchanged."""

    def __init__(self, document: dict[str, Any]) -> None:
        super().__init__()
        self._document = document

    def to_schema(self) -> dict[str, Any]:
        return self._document


def _inlined(schema: dict[str, Any]) -> _RawSchema:
    """Without `$defs`: references of one body would not resolve in the whole document."""
    definitions = schema.pop("$defs", {})
    return _RawSchema(_resolved(schema, definitions))


def _resolved(node: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_resolved(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if isinstance(reference := node.get("$ref"), str):
        return _resolved(definitions[reference.rsplit("/", 1)[-1]], definitions)
    return {key: _resolved(value, definitions) for key, value in node.items()}
