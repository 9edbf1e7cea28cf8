"""How the API describes itself: request bodies from the models that check them, answers from those in `answers`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, get_args

from litestar.openapi.spec import (
    Components,
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    Reference,
    RequestBody,
    Schema,
    SecurityScheme,
)
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

from minisched.api import answers, own_answers
from minisched.api.answers import ErrorAnswer
from minisched.api.examples import EXAMPLES

_JSON = "application/json"
ANSWERS = (*answers.ANSWERS, *own_answers.ANSWERS)
_COMPONENT = "#/components/schemas/{model}"

# What every operation may be answered with: a parameter or body that makes no sense, a caller that is not let in,
# something that is not there, and a database or an orchestrator that does not answer.
_ALWAYS = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.SERVICE_UNAVAILABLE,
)

SECURITY_SCHEMES: dict[str, SecurityScheme | Reference] = {
    "basic": SecurityScheme(type="http", scheme="basic", description="A user of `minisched user`, with its password."),
    "bearer": SecurityScheme(
        type="http", scheme="bearer", description="A token of `minisched token`, or one that OpenMetadata has signed."
    ),
}
SECURITY: list[dict[str, list[str]]] = [{"basic": []}, {"bearer": []}]


@dataclass(frozen=True, slots=True)
class Body:
    """A request body that handlers take as bytes and parse themselves.

    The framework's own parsing answers a body whose property is named like a dependency with an error 500.
    """

    model: type[BaseModel] | Any
    example: Any
    media_type: str = _JSON
    required: bool = True

    def described(self) -> RequestBody:
        schema = TypeAdapter(self.model).json_schema(by_alias=True)
        media = OpenAPIMediaType(schema=_inlined(schema), example=self.example)
        return RequestBody(content={self.media_type: media}, required=self.required)


@dataclass(frozen=True, slots=True)
class Content:
    """An answer that is not JSON, or nothing at all without a media type."""

    media_type: str | None = None
    example: str = ""
    description: str = "Done."


EMPTY = Content()
EVENTS = Content("text/event-stream", 'data: {"…": "…"}\n\n', "Server-sent events.")


def operation(
    gives: Mapping[int, Any],
    *,
    takes: Body | None = None,
    errors: Iterable[int] = (),
    error: type[BaseModel] = ErrorAnswer,
    is_open: bool = False,
) -> type[Operation]:
    """An operation that answers with these: a model, a list of one, or a Content, by status. `errors` are those that
    it has besides what every operation has; one that `is_open` asks for no credentials."""
    too_large = (HTTPStatus.REQUEST_ENTITY_TOO_LARGE,) if takes else ()
    codes = sorted({int(code) for code in (*_ALWAYS, *too_large, *errors)} - set(gives))
    responses = {str(code): _response(what) for code, what in gives.items()}
    responses |= {str(code): _response(error, HTTPStatus(code).phrase) for code in codes}
    body = takes.described() if takes else None

    @dataclass
    class Described(Operation):
        def __post_init__(self) -> None:
            self.responses = dict(responses)
            if is_open:
                self.security = []
            if body is not None:
                self.request_body = body

    return Described


class AnswerComponents(Components):
    """The models of all answers, for the references of the operations; the framework would replace `schemas`."""

    def to_schema(self) -> dict[str, Any]:
        _, document = models_json_schema([(model, "validation") for model in ANSWERS], ref_template=_COMPONENT)
        whole = super().to_schema()
        return {**whole, "schemas": {**whole.get("schemas", {}), **document["$defs"]}}


def _response(what: Any, description: str | None = None) -> OpenAPIResponse:
    if isinstance(what, Content):
        media = OpenAPIMediaType(schema=_RawSchema({"type": "string"}), example=what.example)
        return OpenAPIResponse(what.description, content={what.media_type: media} if what.media_type else None)
    if isinstance(what, tuple):  # one of several models
        named = [_described(model) for model in what]
        schema: dict[str, Any] = {"anyOf": [{"$ref": schema["$ref"]} for schema, _ in named]}
        example = named[0][1]
    else:
        schema, example = _described(what)
    text = description or (what.__doc__ if isinstance(what, type) else None) or "The answer."
    return OpenAPIResponse(
        text.strip().splitlines()[0], content={_JSON: OpenAPIMediaType(schema=_RawSchema(schema), example=example)}
    )


def _described(what: Any) -> tuple[dict[str, Any], Any]:
    """The schema of a model, or of a list of one, and an example."""
    if isinstance(what, type) and issubclass(what, BaseModel):
        return {"$ref": _COMPONENT.format(model=what.__name__)}, EXAMPLES[what]
    (model,) = get_args(what)
    schema, example = _described(model)
    return {"type": "array", "items": schema}, [example]


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
