"""Tests of data: suites, cases, results and the rows that failed."""

from __future__ import annotations

import uuid
from typing import Any

from minisched.domain import names
from minisched.domain.errors import InvalidInput
from minisched.domain.pipeline import Document
from minisched.sandbox import attached, shaping
from minisched.sandbox.attached import FAILED_ROWS, TEST_CASE_RESULT
from minisched.sandbox.callers import Caller
from minisched.sandbox.calls import Answer, Call, Endpoint
from minisched.sandbox.catalog import Catalog
from minisched.sandbox.kinds import BY_TYPE, Kind
from minisched.sandbox.presentation import Presenter
from minisched.sandbox.references import reference_to

_CASE = BY_TYPE["testCase"]
_SUITE = BY_TYPE["testSuite"]


class Quality:
    """The handlers of data quality, and what completes the requests that create suites and cases."""

    def __init__(self, catalog: Catalog, presenter: Presenter) -> None:
        self._catalog = catalog
        self._presenter = presenter
        presenter.attach("table", "testSuite", self._suite_of_table)
        presenter.attach("testSuite", "tests", self._tests_of_suite)
        presenter.attach(
            "testCase", "failedRowsSample", lambda case: attached.value_of(catalog, FAILED_ROWS, case["id"])
        )

    def endpoints(self) -> list[Endpoint]:
        case, suite = ("testCase",), ("testSuite",)
        return [
            Endpoint("PUT", "executable", self.put_executable, kinds=suite),
            Endpoint("PUT", "basic", self.put_executable, kinds=suite),
            Endpoint("POST", "executable", self.put_executable, kinds=suite),
            Endpoint("POST", "basic", self.put_executable, kinds=suite),
            Endpoint("PUT", "logicalTestCases", self.add_to_suite, kinds=case),
            Endpoint("POST", "testCaseIncidentStatus", self.post_incident, kinds=case),
            Endpoint("POST", "testCaseResults/{fqn*}", self.add_result, kinds=case),
            Endpoint("GET", "testCaseResults/{fqn*}", self.results, kinds=case),
            Endpoint("PUT", "{fqn}/testCaseResult", self.add_result, kinds=case),
            Endpoint("GET", "{fqn}/testCaseResult", self.results, kinds=case),
            Endpoint("PUT", "{case_id}/failedRowsSample", self.put_failed_rows, kinds=case),
            Endpoint("GET", "{case_id}/failedRowsSample", self.get_failed_rows, kinds=case),
            Endpoint("DELETE", "{case_id}/failedRowsSample", self.delete_failed_rows, kinds=case),
            Endpoint("PUT", "{case_id}/inspectionQuery", self.put_inspection_query, kinds=case),
        ]

    # --- suites -------------------------------------------------------------------------------------------------------

    def prepare_suite(self, request: Document, _caller: Caller) -> Document:
        """A suite of one table is called after it; up to 1.5 such suites are named executable."""
        for field, mark in (("basicEntityReference", "basic"), ("executableEntityReference", "executable")):
            table = request.get(field)
            if table is not None:
                _, found = self._catalog.references().named(table, "table", field)
                fqn = found["fullyQualifiedName"] if found else str(table)
                return {**request, mark: True, "fullyQualifiedName": suite_fqn(fqn)}
        return {key: value for key, value in request.items() if key != "fullyQualifiedName"}

    def put_executable(self, kind: Kind, call: Call) -> Answer:
        request = self.prepare_suite(call.document(), call.caller)
        saved = self._catalog.save(kind, request, call.caller)
        return self._show(kind, saved.document, call, status=201 if saved.created else 200)

    def _suite_of_table(self, table: Document) -> Document | None:
        suite = self._catalog.find("testSuite", suite_fqn(table["fullyQualifiedName"]))
        return reference_to("testSuite", suite) if suite is not None and not suite.get("deleted") else None

    def _tests_of_suite(self, suite: Document) -> list[Document]:
        return [reference_to("testCase", case) for case in self._catalog.every("testCase") if _is_in(case, suite["id"])]

    # --- cases --------------------------------------------------------------------------------------------------------

    def prepare_case(self, request: Document, caller: Caller) -> Document:
        """A case belongs to the suite of the table that its link points to; that suite is made if it is missing."""
        link = names.parse_link(request.get("entityLink"))
        if link is None:
            raise InvalidInput(
                "is no link to an entity, such as <#E::table::service.db.schema.table>", field="entityLink"
            )
        name = request.get("name") or f"{link.column or 'table'}_{uuid.uuid4().hex[:8]}"
        case = {key: value for key, value in request.items() if key != "testSuite"}
        return {
            **case,
            "name": name,
            "entityFQN": link.target_fqn,
            "fullyQualifiedName": names.join(link.target_fqn, str(name)),
            "testSuite": self._suite_of(link, caller),
        }

    def _suite_of(self, link: names.EntityLink, caller: Caller) -> Document:
        with self._catalog.lock:
            table = self._catalog.require_fqn(link.entity_type, link.fqn)
            suite = self._catalog.find("testSuite", suite_fqn(link.fqn))
            if suite is None:
                request = {"name": suite_fqn(link.fqn), "basicEntityReference": table["fullyQualifiedName"]}
                suite = self._catalog.save(_SUITE, self.prepare_suite(request, caller), caller).document
            return reference_to("testSuite", suite)

    def add_to_suite(self, _kind: Kind, call: Call) -> Answer:
        request = call.document()
        suite = self._catalog.require("testSuite", str(request.get("testSuiteId")))
        listed = {key: suite[key] for key in ("id", "name", "fullyQualifiedName")}
        for case_id in request.get("testCaseIds") or ():
            case = self._catalog.require("testCase", str(case_id))
            others = [item for item in shaping.kept_objects(case, "testSuites") if item.get("id") != suite["id"]]
            self._catalog.update(_CASE, case["id"], {"testSuites": [*others, listed]}, call.caller)
        return self._show(_SUITE, suite, call)

    # --- results ------------------------------------------------------------------------------------------------------

    def add_result(self, kind: Kind, call: Call, fqn: str) -> Answer:
        case = self._catalog.require_fqn(kind.type, fqn)
        result = shaping.without_nulls(call.document())
        timestamp = result.get("timestamp")
        if not isinstance(timestamp, int):
            raise InvalidInput("must be epoch milliseconds", field="timestamp")
        point = attached.point(case, timestamp, result)
        self._catalog.put_raw(TEST_CASE_RESULT, [point])
        newest = attached.latest(self._catalog, TEST_CASE_RESULT, case["id"])
        changes = {"testCaseResult": newest, "testCaseStatus": newest.get("testCaseStatus")}
        self._catalog.update(kind, case["id"], changes, call.caller)
        return Answer({"id": point["id"], **result, "testCaseFQN": case["fullyQualifiedName"]}, status=201)

    def results(self, kind: Kind, call: Call, fqn: str) -> Answer:
        case = self._catalog.require_fqn(kind.type, fqn)
        values = attached.series(
            self._catalog, TEST_CASE_RESULT, case["id"], start=call.number("startTs"), end=call.number("endTs")
        )
        return Answer(attached.paged(values, call.number("limit")))

    def put_failed_rows(self, kind: Kind, call: Call, case_id: str) -> Answer:
        case = self._catalog.require(kind.type, case_id)
        rows = call.document()
        self._catalog.put_raw(FAILED_ROWS, [attached.single(case, rows)])
        return Answer({**self._presenter.show(kind, case, call.caller), "failedRowsSample": rows})

    def get_failed_rows(self, kind: Kind, _call: Call, case_id: str) -> Answer:
        case = self._catalog.require(kind.type, case_id)
        return Answer(attached.value_of(self._catalog, FAILED_ROWS, case["id"]) or {"columns": [], "rows": []})

    def delete_failed_rows(self, kind: Kind, call: Call, case_id: str) -> Answer:
        case = self._catalog.require(kind.type, case_id)
        self._catalog.remove_raw(FAILED_ROWS, [case["id"]])
        return self._show(kind, case, call)

    def put_inspection_query(self, kind: Kind, call: Call, case_id: str) -> Answer:
        changes = {"inspectionQuery": call.body.decode(errors="replace")}
        return self._show(kind, self._catalog.update(kind, case_id, changes, call.caller), call)

    def post_incident(self, kind: Kind, call: Call) -> Answer:
        request = shaping.without_nulls(call.document())
        case = self._catalog.require_either(kind.type, str(request.get("testCaseReference")))
        status = {
            **request,
            "id": str(uuid.uuid4()),
            "stateId": str(uuid.uuid4()),
            "timestamp": self._catalog.now_ms(),
            "testCaseReference": reference_to("testCase", case),
            "updatedAt": self._catalog.now_ms(),
        }
        named = {"id": status["id"], "name": status["id"], "fullyQualifiedName": f"{case['id']}.{status['id']}"}
        self._catalog.put_raw("testCaseResolutionStatus", [{**named, "value": status}])
        return Answer(status, status=201)

    def _show(self, kind: Kind, entity: Document, call: Call, *, status: int = 200) -> Answer:
        return Answer(self._presenter.show(kind, entity, call.caller, call.fields()), status=status)


def suite_fqn(table_fqn: str) -> str:
    """The FQN of the one suite that belongs to a table."""
    return f"{table_fqn}.testSuite"


def _is_in(case: Document, suite_id: Any) -> bool:
    suites = [case.get("testSuite") or {}, *shaping.kept_objects(case, "testSuites")]
    return any(suite.get("id") == suite_id for suite in suites)
