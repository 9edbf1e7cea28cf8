"""From a call to its handler: endpoints of their own first, then what a collection answers, then what is not known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from minisched.domain.errors import InvalidInput, NotFound
from minisched.domain.versions import Line, UnknownVersion, line_of
from minisched.ports import DocumentStore
from minisched.sandbox.calls import Answer, Call, Endpoint
from minisched.sandbox.catalog import Catalog
from minisched.sandbox.connections import Connections
from minisched.sandbox.dependents import Dependents
from minisched.sandbox.entity_endpoints import EntityEndpoints
from minisched.sandbox.kinds import Kind, find_collection, unknown_kind
from minisched.sandbox.lineage import Lineage
from minisched.sandbox.machinery import Machinery
from minisched.sandbox.presentation import Presenter
from minisched.sandbox.profiles import Profiles
from minisched.sandbox.quality import Quality
from minisched.sandbox.samples import Samples
from minisched.sandbox.search import Search
from minisched.sandbox.seeds import plant
from minisched.sandbox.system import System
from minisched.sandbox.usage import Usage

# Others answer for these, whatever is sent there.
_NOT_OURS = frozenset({("services", "ingestionPipelines"), ("minisched",)})
_NEWEST_LINE: Line = (2, 0)


class Dispatcher:
    """The whole stand-in behind one method."""

    def __init__(
        self,
        documents: DocumentStore,
        *,
        server_version: Callable[[], str],
        base_url: str,
        now: Callable[[], datetime],
        dependents: Dependents,
    ) -> None:
        def line() -> Line:
            try:
                return line_of(server_version())
            except UnknownVersion:
                return _NEWEST_LINE

        self.catalog = Catalog(documents, now)
        presenter = Presenter(base_url, line)
        quality = Quality(self.catalog, presenter)
        usage = Usage(self.catalog, presenter)
        machinery = Machinery(self.catalog, presenter)
        lineage = Lineage(self.catalog)
        prepare = {
            "query": usage.prepare_query,
            "testSuite": quality.prepare_suite,
            "testCase": quality.prepare_case,
            "app": machinery.prepare_app,
        }
        entities = EntityEndpoints(self.catalog, presenter, prepare, dependents)
        self._own: list[Endpoint] = [
            *System(self.catalog, presenter, server_version).endpoints(),
            *Connections(line).endpoints(),
            *Search(self.catalog, lineage.incoming).endpoints(),
            *lineage.endpoints(),
            *usage.endpoints(),
        ]
        # The most special first: the patterns of all entities would take some of theirs.
        self._of_collections: list[Endpoint] = [
            *quality.endpoints(),
            *Profiles(self.catalog, presenter).endpoints(),
            *Samples(self.catalog, presenter).endpoints(),
            *usage.query_endpoints(),
            *machinery.endpoints(),
            *entities.endpoints(),
        ]
        plant(self.catalog)

    def answer(self, call: Call) -> Answer:
        """Raises MinischedError: NotFound where nobody answers, InvalidInput for what makes no sense, …"""
        try:
            return self._answer(call)
        except RecursionError as error:
            raise InvalidInput("the body is nested too deeply") from error

    def _answer(self, call: Call) -> Answer:
        if any(tuple(call.segments[: len(prefix)]) == prefix for prefix in _NOT_OURS):
            raise _nobody(call)
        for endpoint in self._own:
            parameters = endpoint.match(call.method, call.segments)
            if parameters is not None:
                return endpoint.handler(call, **parameters)
        collection = find_collection(call.segments)
        if collection is not None:
            return self._of_collection(call, *collection)
        return self._of_collection(call, *self._unknown_collection(call))

    def _of_collection(self, call: Call, kind: Kind, rest: Sequence[str]) -> Answer:
        for endpoint in self._of_collections:
            if endpoint.kinds and kind.type not in endpoint.kinds:
                continue
            parameters = endpoint.match(call.method, rest)
            if parameters is not None:
                return endpoint.handler(kind, call, **parameters)
        raise _nobody(call)

    def _unknown_collection(self, call: Call) -> tuple[Kind, Sequence[str]]:
        """A path that is not in the table of kinds: whatever is sent there is kept under that path."""
        segments = tuple(call.segments)
        if segments and call.method in {"POST", "PUT"}:
            length = len(segments) - (segments[-1] == "bulk" and len(segments) > 1)
            return unknown_kind(segments[:length]), segments[length:]
        for length in range(len(segments), max(0, len(segments) - 3), -1):
            kind = unknown_kind(segments[:length])
            if self.catalog.documents.count(kind.type):
                return kind, segments[length:]
        raise _nobody(call)


def _nobody(call: Call) -> NotFound:
    return NotFound(f"HTTP 404 Not Found: {call.method} {'/'.join(call.segments)}")
