"""What the catalog knows of OpenMetadata's entity types: where they live, what names them, what they refer to.

Everything else about an entity is kept as it was sent. A row of the table says how a create request becomes an entity:
which field holds the parent whose FQN comes first, which fields name other entities by FQN or id and have to become
EntityReferences, what is copied from the parent, and what only create requests have (entities forbid unknown fields).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Kind:
    """One type of entity. `type` is EntityReference.type and the kind of its documents, `path` its collection.

    `parents`: fields that may hold the parent, the first one sent counts. `references`: field → entity type of what a
    plain string in it names. `inherited`: what an entity takes from its parent. `members`: paths to lists of named
    things inside, such as columns, that get an FQN of their own. `create_only`: fields that the entity has not.
    `infix`: a part of the FQN between the parent and the name. `fqn_is_given`: the request holds the FQN already.
    """

    type: str
    path: str
    parents: Sequence[str] = ()
    references: Mapping[str, str] = field(default_factory=dict)
    inherited: Sequence[str] = ()
    members: Sequence[str] = ()
    create_only: frozenset[str] = frozenset()
    infix: str | None = None
    needs_parent: bool = True
    fqn_is_given: bool = False
    can_be_soft_deleted: bool = True
    known: bool = True


# Any entity may have these; a string in a field without a type here must be an id.
COMMON_REFERENCES: Mapping[str, str] = {
    "owner": "user",
    "owners": "user",
    "reviewers": "user",
    "experts": "user",
    "followers": "user",
    "domain": "domain",
    "domains": "domain",
    "dataProducts": "dataProduct",
}


def _service(name: str, *create_only: str) -> Kind:
    return Kind(f"{name}Service", f"services/{name}Services", create_only=frozenset(create_only))


def _of_service(
    type_: str, path: str, service: str, *, references: Mapping[str, str] | None = None, members: Sequence[str] = ()
) -> Kind:
    return Kind(
        type_,
        path,
        parents=("service",),
        references={"service": f"{service}Service", **(references or {})},
        inherited=("serviceType",),
        members=members,
    )


_SERVICES = (
    _service("database"),
    _service("messaging"),
    _service("dashboard"),
    _service("pipeline", "scheduleInterval", "lifeCycle"),
    _service("mlmodel"),
    _service("metadata"),
    _service("storage"),
    _service("search"),
    _service("api"),
    _service("drive"),
    _service("security"),
    _service("mcp"),
)

_DATABASES = (
    _of_service("database", "databases", "database"),
    Kind(
        "databaseSchema",
        "databaseSchemas",
        parents=("database",),
        references={"database": "database"},
        inherited=("service", "serviceType"),
    ),
    Kind(
        "table",
        "tables",
        parents=("databaseSchema",),
        references={"databaseSchema": "databaseSchema"},
        inherited=("database", "service", "serviceType"),
        members=("columns",),
    ),
    Kind(
        "storedProcedure",
        "storedProcedures",
        parents=("databaseSchema",),
        references={"databaseSchema": "databaseSchema"},
        inherited=("database", "service", "serviceType"),
    ),
    Kind(
        "query",
        "queries",
        parents=("service",),
        references={"service": "databaseService", "users": "user", "queryUsedIn": "table"},
        create_only=frozenset({"dialect"}),
        can_be_soft_deleted=False,
    ),
)

_OTHER_ASSETS = (
    _of_service("chart", "charts", "dashboard", references={"dashboards": "dashboard"}),
    _of_service(
        "dashboard", "dashboards", "dashboard", references={"charts": "chart", "dataModels": "dashboardDataModel"}
    ),
    Kind(
        "dashboardDataModel",
        "dashboard/datamodels",
        parents=("service",),
        references={"service": "dashboardService"},
        inherited=("serviceType",),
        members=("columns",),
        infix="model",
    ),
    _of_service("pipeline", "pipelines", "pipeline", members=("tasks",)),
    _of_service("topic", "topics", "messaging", members=("messageSchema.schemaFields",)),
    _of_service("mlmodel", "mlmodels", "mlmodel", references={"dashboard": "dashboard"}, members=("mlFeatures",)),
    Kind(
        "container",
        "containers",
        parents=("parent", "service"),
        references={"parent": "container", "service": "storageService"},
        inherited=("serviceType",),
        members=("dataModel.columns",),
    ),
    _of_service("searchIndex", "searchIndexes", "search", members=("fields",)),
    _of_service("apiCollection", "apiCollections", "api", references={"apiEndpoints": "apiEndpoint"}),
    Kind(
        "apiEndpoint",
        "apiEndpoints",
        parents=("apiCollection",),
        references={"apiCollection": "apiCollection"},
        inherited=("service", "serviceType"),
        members=("requestSchema.schemaFields", "responseSchema.schemaFields"),
        create_only=frozenset({"sourceUrl"}),
    ),
    Kind(
        "directory",
        "drives/directories",
        parents=("parent", "service"),
        references={"parent": "directory", "service": "driveService"},
        inherited=("serviceType",),
    ),
    Kind(
        "file",
        "drives/files",
        parents=("directory", "service"),
        references={"directory": "directory", "service": "driveService"},
        inherited=("serviceType",),
        members=("columns",),
    ),
    Kind(
        "spreadsheet",
        "drives/spreadsheets",
        parents=("service",),
        references={"service": "driveService"},
        inherited=("serviceType",),
        create_only=frozenset({"parent"}),
    ),
    Kind(
        "worksheet",
        "drives/worksheets",
        parents=("spreadsheet",),
        references={"spreadsheet": "spreadsheet", "service": "driveService"},
        inherited=("service", "serviceType"),
        members=("columns",),
    ),
    Kind("mcpServer", "mcpServers", parents=("service",), references={"service": "mcpService"}),
    Kind("metric", "metrics", references={"relatedMetrics": "metric"}),
    Kind("report", "reports"),
    Kind("dataContract", "dataContracts", parents=("entity",), references={"entity": "table"}, needs_parent=False),
)

_GOVERNANCE = (
    Kind("classification", "classifications"),
    Kind(
        "tag",
        "tags",
        parents=("parent", "classification"),
        references={"parent": "tag", "classification": "classification"},
        create_only=frozenset({"associatedTags"}),
    ),
    Kind("glossary", "glossaries"),
    Kind(
        "glossaryTerm",
        "glossaryTerms",
        parents=("parent", "glossary"),
        references={"parent": "glossaryTerm", "glossary": "glossary"},
        # A list of names in requests, of references up to 1.x and of relations after that in entities.
        create_only=frozenset({"relatedTerms"}),
    ),
    Kind(
        "domain",
        "domains",
        parents=("parent",),
        references={"parent": "domain"},
        needs_parent=False,
        can_be_soft_deleted=False,
    ),
    Kind("dataProduct", "dataProducts", can_be_soft_deleted=False),
)

_PEOPLE = (
    Kind(
        "user",
        "users",
        references={"teams": "team", "roles": "role", "personas": "persona", "defaultPersona": "persona"},
        create_only=frozenset({"botName", "createPasswordType", "password", "confirmPassword"}),
    ),
    Kind(
        "team",
        "teams",
        references={
            "parents": "team",
            "children": "team",
            "users": "user",
            "defaultRoles": "role",
            "defaultPersona": "persona",
            "policies": "policy",
        },
    ),
    Kind("role", "roles", references={"policies": "policy"}),
    Kind("policy", "policies", references={"location": "container"}),
    Kind("persona", "personas", references={"users": "user"}, can_be_soft_deleted=False),
    Kind("bot", "bots", references={"botUser": "user"}, create_only=frozenset({"allowImpersonation"})),
)

_QUALITY = (
    Kind("testDefinition", "dataQuality/testDefinitions"),
    Kind(
        "testSuite",
        "dataQuality/testSuites",
        references={"basicEntityReference": "table", "executableEntityReference": "table"},
        fqn_is_given=True,
    ),
    Kind(
        "testCase",
        "dataQuality/testCases",
        references={"testDefinition": "testDefinition", "testSuite": "testSuite"},
        fqn_is_given=True,
    ),
)

_MACHINERY = (
    Kind("workflow", "automations/workflows"),
    Kind("app", "apps", references={"bot": "bot"}, create_only=frozenset({"allowBotImpersonation"})),
    Kind("appMarketPlaceDefinition", "apps/marketplace"),
    Kind(
        "eventsubscription",
        "events/subscriptions",
        create_only=frozenset({"resources"}),
        can_be_soft_deleted=False,
    ),
    Kind("kpi", "kpi", references={"dataInsightChart": "dataInsightChart"}),
    Kind("dataInsightChart", "analytics/dataInsights/charts"),
    Kind("document", "docStore", fqn_is_given=True, can_be_soft_deleted=False),
)

KINDS: tuple[Kind, ...] = (
    *_SERVICES,
    *_DATABASES,
    *_OTHER_ASSETS,
    *_GOVERNANCE,
    *_PEOPLE,
    *_QUALITY,
    *_MACHINERY,
)

BY_TYPE: Mapping[str, Kind] = {kind.type: kind for kind in KINDS}
_BY_PATH: Mapping[tuple[str, ...], Kind] = {tuple(kind.path.split("/")): kind for kind in KINDS}
_LONGEST_PATH = max(len(path) for path in _BY_PATH)


def find_collection(segments: Sequence[str]) -> tuple[Kind, tuple[str, ...]] | None:
    """The kind whose collection the path begins with, the longest that fits, and what follows it in the path."""
    for length in range(min(_LONGEST_PATH, len(segments)), 0, -1):
        kind = _BY_PATH.get(tuple(segments[:length]))
        if kind is not None:
            return kind, tuple(segments[length:])
    return None


def unknown_kind(path: Sequence[str]) -> Kind:
    """A collection that is not in the table: its documents are kept as they come."""
    return Kind("/".join(path), "/".join(path), can_be_soft_deleted=False, known=False)


def kinds_below(entity_type: str) -> list[Kind]:
    """The kinds of whatever may be below an entity of this type, at any depth."""
    found: dict[str, Kind] = {}
    waiting = [entity_type]
    while waiting:
        parent = waiting.pop()
        below = [kind for kind in KINDS if parent in _parent_types(kind) and kind.type not in found]
        found |= {kind.type: kind for kind in below}
        waiting.extend(kind.type for kind in below)
    return list(found.values())


def _parent_types(kind: Kind) -> Iterable[str]:
    # Tests say by a link what they test; their FQNs are below its FQN nevertheless.
    return ["table"] if kind.type in {"testCase", "testSuite"} else [kind.references[name] for name in kind.parents]
