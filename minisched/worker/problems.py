"""What a pydantic model, of either major version, has against a document: one readable line per problem.

No line repeats a value of the document, because any of them may be a secret.
"""

from __future__ import annotations

from typing import Any, Iterator, Sequence

_MISSING = frozenset({"missing", "value_error.missing"})
_EXTRA = frozenset({"extra_forbidden", "value_error.extra"})
# They list what is allowed, which may well contain what was sent.
_LISTS = frozenset({"enum", "literal_error"})
# Texts of validators that people wrote, without the value by which they could be checked.
_ANY_TEXT = frozenset({"value_error", "assertion_error"})
_LEAST_SECRET = 3


class _Problem:
    """One error: where it is in the document, and which models of a union were being tried on the way there."""

    def __init__(
        self, place: tuple[str, ...], tried: list[tuple[tuple[str, ...], str]], detail: dict[str, Any]
    ) -> None:
        self.place = place
        self.tried = tried
        self.detail = detail

    def without_first_try(self) -> _Problem:
        return _Problem(self.place, self.tried[1:], self.detail)


def problems_of(error: Any, document: Any, within: Sequence[str] = ()) -> Iterator[str]:
    """The lines of a ValidationError of this document, which itself is found at the path `within`."""
    found = [_located(detail, document) for detail in error.errors()]
    for problem in _likeliest(found):
        yield _line((*within, *problem.place), problem.detail)


def missing(name: str, *within: str) -> str:
    """The line for a value that has to be there."""
    return "Missing parameter '{}'".format(name) + _in(within)


def invalid(name: str, *within: str, why: str = "") -> str:
    """The line for a value that is there but cannot be."""
    return "Invalid parameter value for '{}'".format(name) + _in(within) + (": " + why if why else "")


def _in(within: Sequence[str]) -> str:
    return " in '{}'".format(".".join(within)) if within else ""


def _located(detail: dict[str, Any], document: Any) -> _Problem:
    """Parts of a location that the document does not have are names of models that were tried."""
    place: list[str] = []
    tried: list[tuple[tuple[str, ...], str]] = []
    location, value = list(detail.get("loc", ())), document
    for number, part in enumerate(location, 1):
        if _has(value, part):
            value = value[part]
        elif number < len(location) or detail.get("type") not in _MISSING:
            tried.append((tuple(place), str(part)))
            continue
        place.append(str(part))
    return _Problem(tuple(place), tried, detail)


def _has(value: Any, part: Any) -> bool:
    if isinstance(value, list):
        return isinstance(part, int) and part < len(value)
    return isinstance(value, dict) and part in value


def _likeliest(problems: list[_Problem]) -> list[_Problem]:
    """Of each union only the complaints of the model that was probably meant."""
    chosen = [problem for problem in problems if not problem.tried]
    unions: dict[tuple[str, ...], dict[str, list[_Problem]]] = {}
    for problem in problems:
        if problem.tried:
            place, name = problem.tried[0]
            unions.setdefault(place, {}).setdefault(name, []).append(problem.without_first_try())
    for by_model in unions.values():
        chosen += _likeliest(min(by_model.values(), key=_distance))
    return chosen


def _distance(problems: list[_Problem]) -> tuple[bool, int]:
    """A model that is of another `type` was hardly meant."""
    return any(problem.place[-1:] == ("type",) for problem in problems), len(problems)


def _line(place: tuple[str, ...], detail: dict[str, Any]) -> str:
    if not place:
        return _text(detail) or "The document is not valid"
    within, name = place[:-1], place[-1]
    if detail.get("type") in _MISSING:
        return missing(name, *within)
    if detail.get("type") in _EXTRA:
        return "Extra parameter '{}'".format(name) + _in(within)
    return invalid(name, *within, why=_text(detail))


def _text(detail: dict[str, Any]) -> str:
    """The model's own words, unless they may hold a value."""
    kind, text = detail.get("type"), str(detail.get("msg") or "")
    if kind in _LISTS:
        return text
    if "input" not in detail:
        return "" if kind in _ANY_TEXT else text
    return "" if any(value in text for value in _scalars(detail["input"])) else text


def _scalars(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _scalars(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _scalars(item)
    elif len(str(value)) >= _LEAST_SECRET and not isinstance(value, bool):
        yield str(value)
