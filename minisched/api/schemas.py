"""The bodies that callers send, as strict models: names as in contract §4, unknown properties refused.

Values never appear in an error, for any of them may be a secret; the path of the offending property does.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, TypeVar, get_args
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    RootModel,
    ValidationError,
    model_validator,
)

from minisched.api.json_values import check_json, check_name, check_text
from minisched.domain.errors import InvalidInput
from minisched.domain.pipeline import Document

ModelT = TypeVar("ModelT", bound=BaseModel)

PipelineType = Literal[
    "metadata",
    "usage",
    "lineage",
    "profiler",
    "autoClassification",
    "TestSuite",
    "dataInsight",
    "elasticSearchReindex",
    "dbt",
    "application",
    "policyAgent",
]
PipelineState = Literal["queued", "success", "failed", "running", "partialSuccess", "stopped"]
LoggerLevel = Literal["DEBUG", "INFO", "WARN", "ERROR"]
Provider = Literal["system", "user", "automation"]

PROVIDERS: tuple[str, ...] = get_args(Provider)

_LARGEST_INT = 2**31 - 1
_LATEST_MS = 253_402_300_799_999  # the end of the year 9999

_ERRORS_SHOWN = 5
_LONGEST_PATH = 200


def _uuid(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise ValueError("is not a UUID") from None


Text = Annotated[str, AfterValidator(check_text)]
Name = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(check_name)]


def _whole(value: Any) -> Any:
    """Workflows before 1.3 report fractions of a millisecond, which OpenMetadata cuts off."""
    return int(value) if isinstance(value, float) and math.isfinite(value) else value


ShortText = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(check_text)]
Id = Annotated[str, AfterValidator(_uuid), Field(json_schema_extra={"format": "uuid"})]
Count = Annotated[int, Field(ge=0, le=_LARGEST_INT)]
Milliseconds = Annotated[int, Field(ge=0, le=_LATEST_MS), BeforeValidator(_whole)]
JsonObject = Annotated[dict[str, Any], AfterValidator(check_json)]


class Body(BaseModel):
    """Strict, without unknown properties, and without values in its errors."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True, frozen=True)


class EntityReference(Body):
    """Points to another entity (contract §4.5); the id and the type are enough."""

    id: Id
    type: ShortText
    name: Text | None = None
    fullyQualifiedName: Text | None = None  # noqa: N815  OpenMetadata's names
    description: Text | None = None
    displayName: Text | None = None  # noqa: N815
    deleted: bool | None = None
    inherited: bool | None = None
    href: Text | None = None


class AirflowConfig(Body):
    """Schedule and limits of a pipeline (contract §4.2). Durations are seconds; a null schedule is on demand."""

    pausePipeline: bool | None = None  # noqa: N815
    concurrency: Count | None = None
    startDate: Text | None = None  # noqa: N815
    endDate: Text | None = None  # noqa: N815
    pipelineTimezone: Text | None = None  # noqa: N815
    retries: Count | None = None
    retryDelay: Count | None = None  # noqa: N815
    pipelineCatchup: bool | None = None  # noqa: N815
    scheduleInterval: Text | None = None  # noqa: N815
    maxActiveRuns: Annotated[int, Field(ge=1, le=_LARGEST_INT)] | None = None  # noqa: N815
    workflowTimeout: Count | None = None  # noqa: N815
    workflowDefaultView: Text | None = None  # noqa: N815
    workflowDefaultViewOrientation: Text | None = None  # noqa: N815
    email: Annotated[str, Field(max_length=320, pattern=r"^[^@\s]+@[^@\s]+$"), AfterValidator(check_text)] | None = None


class SourceConfig(Body):
    """What the workflow does (contract §4.8); the runtime's own models check it when the pipeline is deployed."""

    config: JsonObject = Field(default_factory=dict)


class CreateIngestionPipeline(Body):
    """The body of POST and PUT (contract §4.4). `owner` is the form that OpenMetadata had before `owners`."""

    name: Name
    displayName: Annotated[str, Field(max_length=512), AfterValidator(check_text)] | None = None  # noqa: N815
    description: Text | None = None
    pipelineType: PipelineType  # noqa: N815
    sourceConfig: SourceConfig  # noqa: N815
    airflowConfig: AirflowConfig  # noqa: N815
    service: EntityReference
    loggerLevel: LoggerLevel | None = None  # noqa: N815
    raiseOnError: bool | None = None  # noqa: N815
    owners: list[EntityReference] | None = None
    owner: EntityReference | None = None
    domains: list[ShortText] | None = None
    provider: Provider | None = None
    processingEngine: EntityReference | None = None  # noqa: N815
    enableStreamableLogs: bool | None = None  # noqa: N815

    @model_validator(mode="after")
    def _one_form_of_owners(self) -> CreateIngestionPipeline:
        if self.owner is not None and self.owners is not None:
            raise ValueError("owner and owners exclude each other")
        return self

    def document(self) -> Document:
        """What was sent, nulls left out, `owner` as `owners`."""
        document = self.model_dump(exclude_none=True, exclude_unset=True)
        document["sourceConfig"] = {"config": self.sourceConfig.config}
        if (owner := document.pop("owner", None)) is not None:
            document["owners"] = [owner]
        return document


class PatchedIngestionPipeline(Body):
    """An entity after a patch: what a patch may change is checked, the rest is the server's and undone or refused."""

    displayName: Annotated[str, Field(max_length=512), AfterValidator(check_text)] | None = None  # noqa: N815
    description: Text | None = None
    pipelineType: PipelineType  # noqa: N815
    sourceConfig: SourceConfig  # noqa: N815
    airflowConfig: AirflowConfig  # noqa: N815
    loggerLevel: LoggerLevel | None = None  # noqa: N815
    raiseOnError: bool | None = None  # noqa: N815
    enabled: bool | None = None
    owners: list[EntityReference] | None = None
    domains: list[EntityReference] | None = None
    processingEngine: EntityReference | None = None  # noqa: N815
    enableStreamableLogs: bool | None = None  # noqa: N815

    id: Any = None
    name: Any = None
    fullyQualifiedName: Any = None  # noqa: N815
    openMetadataServerConnection: Any = None  # noqa: N815
    service: Any = None
    pipelineStatuses: Any = None  # noqa: N815
    deployed: Any = None
    href: Any = None
    version: Any = None
    updatedAt: Any = None  # noqa: N815
    updatedBy: Any = None  # noqa: N815
    impersonatedBy: Any = None  # noqa: N815
    changeDescription: Any = None  # noqa: N815
    incrementalChangeDescription: Any = None  # noqa: N815
    followers: Any = None
    deleted: Any = None
    provider: Any = None
    applicationType: Any = None  # noqa: N815
    ingestionRunner: Any = None  # noqa: N815


ENTITY_FIELDS = frozenset(PatchedIngestionPipeline.model_fields)


class PatchOperation(BaseModel):
    """One operation of RFC 6902; members that it does not know are ignored, as the RFC says."""

    model_config = ConfigDict(extra="ignore", strict=True, hide_input_in_errors=True, frozen=True)

    op: Literal["add", "remove", "replace", "move", "copy", "test"]
    path: Text
    from_: Text | None = Field(default=None, alias="from")
    value: Any = None


class JsonPatch(RootModel[Annotated[list[PatchOperation], Field(max_length=1000)]]):
    model_config = ConfigDict(strict=True, hide_input_in_errors=True, frozen=True)

    def operations(self) -> list[Document]:
        """As sent: a value of null is not the same as no value."""
        return [operation.model_dump(by_alias=True, exclude_unset=True) for operation in self.root]


class StepFailure(Body):
    model_config = ConfigDict(extra="allow")  # newer lines add fields; a lost status would be worse

    name: Text
    error: Text
    stackTrace: Text | None = None  # noqa: N815


class StepSummary(Body):
    """Counters of one step of a workflow (contract §4.3)."""

    model_config = ConfigDict(extra="allow")

    name: Text
    records: Count | None = None
    updated_records: Count | None = None
    warnings: Count | None = None
    errors: Count | None = None
    filtered: Count | None = None
    failures: list[StepFailure] | None = None


class PipelineStatus(Body):
    """How a run fares, as its workflow reports it (contract §4.3). Times are epoch milliseconds."""

    runId: Annotated[str, Field(min_length=1, max_length=64), AfterValidator(check_text)]  # noqa: N815
    pipelineState: PipelineState  # noqa: N815
    startDate: Milliseconds | None = None  # noqa: N815
    timestamp: Milliseconds | None = None
    endDate: Milliseconds | None = None  # noqa: N815
    status: list[StepSummary] | None = None
    config: JsonObject | None = None
    metadata: JsonObject | None = None

    def document(self) -> Document:
        return check_json_body(self.model_dump(exclude_none=True, exclude_unset=True))


class Restore(Body):
    id: Id


class UserId(RootModel[Id]):
    """A user's id, a JSON string."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True, frozen=True)


class PipelineIds(RootModel[Annotated[list[Id], Field(max_length=10_000)]]):
    model_config = ConfigDict(strict=True, hide_input_in_errors=True, frozen=True)


class TriggerOptions(Body):
    """What one run does differently: shallow merges over `appConfig` and `sourceConfig.config`."""

    appConfigOverride: JsonObject | None = None  # noqa: N815
    sourceConfigOverride: JsonObject | None = None  # noqa: N815


class RunForEntity(Body):
    """Which entity to run for, as OpenMetadata's link to it, and by which type of pipeline."""

    entityLink: Annotated[Text, Field(min_length=1, max_length=4096)]  # noqa: N815
    pipelineType: PipelineType  # noqa: N815


class StopOptions(Body):
    """Why a run is to end; it stays with the run."""

    why: Annotated[str, Field(max_length=500), AfterValidator(check_text)] = "a person asked for it"


class TakeOver(Body):
    """A whole IngestionPipeline as its server deploys it, whether its schedule is to fire here, and which runtime is to
    run it. With `dryRun` nothing is changed."""

    pipeline: JsonObject
    enabled: bool | None = None
    runtime: ShortText | None = None
    dryRun: bool = False  # noqa: N815


class BackfillOptions(Body):
    """The interval whose instants are to be made up for; times in ISO 8601, local to the pipeline's zone unless they
    have an offset. With `dryRun` nothing is queued."""

    from_: Annotated[ShortText, Field(alias="from")]
    to: ShortText
    dryRun: bool = False  # noqa: N815


class MoveOptions(Body):
    """Where a pipeline is to go: `to` an orchestrator, or by `undo` to where it came from. By `force` its runs that are
    not over are ended. With `dryRun` nothing is moved, and what would be refused is."""

    to: Literal["local", "airflow"] | None = None
    undo: bool = False
    force: bool = False
    dryRun: bool = False  # noqa: N815


def parse(model: type[ModelT], body: bytes) -> ModelT:
    """The JSON body as a model. Raises InvalidInput naming path and problem, never a value."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise invalid(error) from None


def check(model: type[ModelT], document: Document) -> ModelT:
    """A document that is already parsed. Raises InvalidInput likewise."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise invalid(error) from None


def check_json_body(document: Document) -> Document:
    """Raises InvalidInput for what `check_json` refuses."""
    try:
        check_json(document)
    except ValueError as error:
        raise InvalidInput(f"The body {error}.") from None
    return document


def invalid(error: ValidationError) -> InvalidInput:
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    # A name that is wrong explains the one that is missing.
    problems.sort(key=lambda problem: problem["type"] != "extra_forbidden")
    shown = [_problem(problem["loc"], problem["type"], problem["msg"]) for problem in problems[:_ERRORS_SHOWN]]
    if len(problems) > len(shown):
        shown.append(f"and {len(problems) - len(shown)} more")
    return InvalidInput("; ".join(shown))


def _problem(location: tuple[int | str, ...], kind: str, message: str) -> str:
    path = ".".join(str(part) for part in location)[:_LONGEST_PATH]
    if kind == "json_invalid":
        return f"Malformed JSON: {message.removeprefix('Invalid JSON: ')}"
    if kind == "extra_forbidden":
        message = "Unrecognized field"
    message = message.removeprefix("Value error, ")
    return f"{path}: {message}" if path else message
