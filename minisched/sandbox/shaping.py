"""From a create request to an entity: the parent and its FQN, references, FQNs of columns, fields that fall away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minisched.domain.errors import InvalidInput
from minisched.domain.pipeline import Document
from minisched.sandbox import names
from minisched.sandbox.kinds import COMMON_REFERENCES, Kind
from minisched.sandbox.references import References, not_found

# What the catalog gives to an entity and no request may set.
_SERVER_FIELDS = ("version", "updatedAt", "updatedBy", "href", "deleted", "changeDescription")


def without_nulls(node: Any) -> Any:
    """The JSON value without members that are null; OpenMetadata keeps none either."""
    if isinstance(node, dict):
        return {key: without_nulls(value) for key, value in node.items() if value is not None}
    if isinstance(node, list):
        return [without_nulls(item) for item in node]
    return node


def entity_from(kind: Kind, request: Document, references: References) -> Document:
    """The entity that a create request describes: without id, version and dates.

    Raises InvalidInput when it has no name, EntityNotFound when it refers to what is not there.
    """
    kept = {
        key: value
        for key, value in without_nulls(request).items()
        if key not in kind.create_only and key not in _SERVER_FIELDS
    }
    name = _name(kept)
    parent = _parent(kind, kept, references)
    entity = with_references(kind, kept, references)
    if parent is not None:
        entity |= {field: parent[field] for field in kind.inherited if field in parent and field not in entity}
    entity["name"] = name
    entity["fullyQualifiedName"] = _fqn(kind, kept, parent, name)
    return with_member_names(kind, entity)


def _name(request: Document) -> str:
    name = request.get("name")
    if not isinstance(name, str) or not name:
        raise InvalidInput("name must not be null", field="name")
    return name


def _parent(kind: Kind, request: Document, references: References) -> Document | None:
    for field in kind.parents:
        value = request.get(field)
        if value is not None:
            parent_type, parent = references.named(value, kind.references[field], field)
            if parent is None:
                raise not_found(parent_type, value["id"])
            return parent
    if kind.parents and kind.needs_parent:
        raise InvalidInput(f"{kind.parents[-1]} must not be null", field=kind.parents[-1])
    return None


def _fqn(kind: Kind, request: Document, parent: Document | None, name: str) -> str:
    given = request.get("fullyQualifiedName")
    if kind.fqn_is_given and isinstance(given, str) and given:
        return given
    if parent is None:
        return names.join(None, name)
    levels = [kind.infix, name] if kind.infix else [name]
    return names.join(parent["fullyQualifiedName"], *levels)


def with_references(kind: Kind, entity: Document, references: References) -> Document:
    """The entity with its references expanded."""
    return references.expand_fields(entity, {**COMMON_REFERENCES, **kind.references})


def with_tag_names(tagged: Document) -> Document:
    """The entity or column with a name for every tag: the filters of the profiler go by it."""
    tags = tagged.get("tags")
    if not isinstance(tags, list):
        return tagged
    return {**tagged, "tags": [_named_tag(tag) for tag in tags]}


def _named_tag(tag: Any) -> Any:
    if isinstance(tag, dict) and "name" not in tag and isinstance(tag.get("tagFQN"), str):
        return {**tag, "name": names.last(tag["tagFQN"])}
    return tag


def with_member_names(kind: Kind, entity: Document) -> Document:
    """The entity with names for its tags, and FQNs for its columns, fields, tasks or features at every depth."""
    entity = with_tag_names(entity)
    for path in kind.members:
        entity = _named_below(entity, path.split("."), entity["fullyQualifiedName"])
    return entity


def _named_below(node: Document, path: list[str], owner_fqn: str) -> Document:
    inner = node.get(path[0])
    if len(path) > 1 and isinstance(inner, dict):
        return {**node, path[0]: _named_below(inner, path[1:], owner_fqn)}
    if len(path) == 1 and isinstance(inner, list):
        return {**node, path[0]: [_member(item, owner_fqn) for item in inner]}
    return node


def _member(item: Any, owner_fqn: str) -> Any:
    if not isinstance(item, Mapping) or not isinstance(item.get("name"), str):
        return item
    fqn = names.join(owner_fqn, item["name"])
    # A client adds a tag to a list that it was given; to a list that it was not given its addition is lost.
    named = with_tag_names({"tags": [], **item, "fullyQualifiedName": fqn})
    if isinstance(item.get("children"), list):
        named["children"] = [_member(child, fqn) for child in item["children"]]
    return named
