"""From a create request to an entity: the parent and its FQN, references, FQNs of columns, fields that fall away."""

from __future__ import annotations

from typing import Any

from minisched.domain import names
from minisched.domain.errors import InvalidInput
from minisched.domain.pipeline import Document
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

    Raises InvalidInput when it has no name or columns that are none, EntityNotFound for a parent that is not there.
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
    if "tags" not in tagged:
        return tagged
    tags = objects(tagged["tags"], "tags")
    return {**tagged, "tags": [{"name": names.last(text(tag, "tagFQN", "tags")), **tag} for tag in tags]}


def objects(value: Any, field: str) -> list[Document]:
    """The value, which must be a list of JSON objects. Raises InvalidInput."""
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise InvalidInput("must be a list of objects", field=field)
    return value


def kept_objects(entity: Document, field: str) -> list[Document]:
    """The JSON objects in a list that an entity has, or has not; a patch may have put anything there."""
    value = entity.get(field)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text(item: Document, key: str, field: str) -> str:
    """The text under a key, which must be there. Raises InvalidInput."""
    value = item.get(key)
    if not isinstance(value, str) or not value:
        raise InvalidInput(f"each one needs a {key}", field=field)
    return value


def with_member_names(kind: Kind, entity: Document) -> Document:
    """The entity with names for its tags, and FQNs for its columns, fields, tasks or features at every depth."""
    entity = with_tag_names(entity)
    for path in kind.members:
        entity = _named_below(entity, path.split("."), entity["fullyQualifiedName"])
    return entity


def _named_below(node: Document, path: list[str], owner_fqn: str) -> Document:
    field = path[0]
    if field not in node:
        return node
    if len(path) == 1:
        return {**node, field: named_members(node[field], owner_fqn, field)}
    if not isinstance(node[field], dict):
        raise InvalidInput("must be an object", field=field)
    return {**node, field: _named_below(node[field], path[1:], owner_fqn)}


def named_members(value: Any, owner_fqn: str, field: str) -> list[Document]:
    """Columns, or the like, with FQNs below their owner, and tags. Raises InvalidInput when they are none."""
    return [_member(item, owner_fqn, field) for item in objects(value, field)]


def _member(item: Document, owner_fqn: str, field: str) -> Document:
    fqn = names.join(owner_fqn, text(item, "name", field))
    # A client adds a tag to a list that it was given; to a list that it was not given its addition is lost.
    named = with_tag_names({"tags": [], **item, "fullyQualifiedName": fqn})
    if "children" in item:
        named["children"] = named_members(item["children"], fqn, field)
    return named
