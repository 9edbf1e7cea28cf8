"""What a PUT makes of an entity that exists already, and what is a change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minisched.domain.entity_versions import Stamp, next_version
from minisched.domain.pipeline import Document
from minisched.domain.secrets import unmask
from minisched.sandbox.kinds import Kind

# What people write in OpenMetadata's pages: a run fills it in where it is empty, but does not overwrite it.
_CURATED = ("description", "displayName", "owners", "domains")
_CURATED_OF_MEMBERS = ("description", "displayName")
_STAMPS = frozenset({"version", "updatedAt", "updatedBy"})


def merged(kind: Kind, stored: Document, sent: Document, *, keep_curated: bool) -> Document:
    """The stored entity after a PUT of `sent`: what is not sent stays, tags add up, masks stand for what was stored.

    With `keep_curated`, descriptions, display names, owners and domains that are not empty stay as they are.
    """
    entity = {**stored, **unmask(sent, stored), "id": stored["id"]}
    if keep_curated:
        entity |= _non_empty(stored, _CURATED)
    entity |= with_tags(stored, entity)
    for path in kind.members:
        entity = _merged_below(entity, stored, path.split("."), keep_curated=keep_curated)
    if kind.can_be_soft_deleted:
        entity["deleted"] = False
    return entity


def _non_empty(stored: Mapping[str, Any], fields: tuple[str, ...]) -> Document:
    return {field: stored[field] for field in fields if stored.get(field)}


def with_tags(stored: Mapping[str, Any], sent: Mapping[str, Any]) -> Document:
    """The field `tags` with those of both, each once; nothing when neither has any."""
    before, after = stored.get("tags") or [], sent.get("tags") or []
    known = {_tag_fqn(tag) for tag in before}
    added = [tag for tag in after if _tag_fqn(tag) not in known]
    return {"tags": [*before, *added]} if before or added else {}


def _tag_fqn(tag: Any) -> Any:
    return tag.get("tagFQN") if isinstance(tag, dict) else None


def _merged_below(entity: Document, stored: Mapping[str, Any], path: list[str], *, keep_curated: bool) -> Document:
    new, old = entity.get(path[0]), stored.get(path[0])
    if len(path) > 1 and isinstance(new, dict) and isinstance(old, dict):
        return {**entity, path[0]: _merged_below(new, old, path[1:], keep_curated=keep_curated)}
    if len(path) == 1 and isinstance(new, list) and isinstance(old, list):
        return {**entity, path[0]: _merged_members(new, old, keep_curated=keep_curated)}
    return entity


def _merged_members(new: list[Any], old: list[Any], *, keep_curated: bool) -> list[Any]:
    by_name = {item.get("name"): item for item in old if isinstance(item, dict)}
    return [_merged_member(item, by_name, keep_curated=keep_curated) for item in new]


def _merged_member(item: Any, old_by_name: Mapping[Any, Document], *, keep_curated: bool) -> Any:
    old = old_by_name.get(item.get("name")) if isinstance(item, dict) else None
    if old is None or old == item:
        return item
    kept = {field: old[field] for field in ("description", "displayName", "customMetrics") if field in old}
    member = {**kept, **item}
    if keep_curated:
        member |= _non_empty(old, _CURATED_OF_MEMBERS)
    member |= with_tags(old, member)
    if isinstance(member.get("children"), list) and isinstance(old.get("children"), list):
        member["children"] = _merged_members(member["children"], old["children"], keep_curated=keep_curated)
    return member


def same(one: Document, other: Document) -> bool:
    """Equal but for version and dates."""
    return _content(one) == _content(other)


def _content(entity: Document) -> Document:
    return {key: value for key, value in entity.items() if key not in _STAMPS}


def first_version(entity: Document, stamp: Stamp) -> Document:
    return {**entity, "version": 0.1, "updatedAt": stamp.at_ms, "updatedBy": stamp.by}


def next_state(stored: Document, entity: Document, stamp: Stamp) -> Document:
    """`entity` as the next version of `stored`; `stored` itself when they are the same."""
    if same(stored, entity):
        return stored
    version = next_version(float(stored.get("version", 0)))
    return {**entity, "version": version, "updatedAt": stamp.at_ms, "updatedBy": stamp.by}
