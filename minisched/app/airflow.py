"""The Airflow of the settings as this node's orchestrator."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

from minisched.clients.airflow import AirflowClient, AirflowServer
from minisched.clients.airflow.server import tls_rules
from minisched.domain.errors import PipelineNotFound
from minisched.domain.pipeline import Document, Pipeline, clean_name
from minisched.ports import PipelineQuery, PipelineStore
from minisched.settings import Settings

_PAGE = 500


def airflow_client(
    settings: Settings,
    *,
    complete: Callable[[Document], Document],
    server_version: Callable[[Document], str | None],
    pipelines: PipelineStore,
) -> AirflowClient:
    """Raises ConfigurationError when the settings of it cannot be used.

    Only the OpenMetadata server of the settings is compared by version: the sandbox takes every line.
    """
    remote = settings.openmetadata.host_port is not None
    return AirflowClient(
        airflow_server(settings),
        complete=complete,
        server_version=lambda: server_version({}) if remote else None,
        holder_of=DeployedNames(pipelines).holder_of,
        host_ip=settings.host_ip,
    )


def airflow_server(settings: Settings) -> AirflowServer:
    airflow = settings.airflow
    assert airflow.url is not None
    assert airflow.password is not None
    ca_file = str(airflow.ca_file) if airflow.ca_file else None
    return AirflowServer(
        url=airflow.url,
        username=airflow.username,
        password=airflow.password.get_secret_value(),
        tls=tls_rules(airflow.url, verify=airflow.verify_ssl, ca_file=ca_file),
        connect_timeout_s=airflow.connect_timeout_s,
        read_timeout_s=airflow.read_timeout_s,
        action_timeout_s=airflow.action_timeout_s,
        parse_wait_s=airflow.parse_wait_s,
    )


class DeployedNames:
    """Which entities would be one and the same to Airflow, because their names differ in special characters only.

    The entities are read through once, at the first question; later ones are noted when they are asked about.
    """

    def __init__(self, pipelines: PipelineStore) -> None:
        self._pipelines = pipelines
        self._lock = threading.Lock()
        self._ids: dict[str, set[str]] | None = None

    def holder_of(self, document: Document) -> str | None:
        """The FQN of another entity that is deployed under the workflow id of this one."""
        name, pipeline_id = clean_name(str(document.get("name"))), str(document.get("id"))
        with self._lock:
            if self._ids is None:
                self._ids = self._all()
            ids = self._ids.setdefault(name, set())
            holders = [pipeline.fqn for pipeline in self._deployed(ids - {pipeline_id})]
            ids.add(pipeline_id)
        return holders[0] if holders else None

    def _deployed(self, ids: set[str]) -> Iterator[Pipeline]:
        for pipeline_id in ids:
            try:
                pipeline = self._pipelines.get(pipeline_id)
            except PipelineNotFound:
                continue
            if pipeline.deployed:
                yield pipeline

    def _all(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        query = PipelineQuery(include="all", limit=_PAGE)
        while True:
            page = self._pipelines.page(query)
            for pipeline in page.pipelines:
                found.setdefault(clean_name(pipeline.name), set()).add(pipeline.id)
            if page.after is None:
                return found
            query = replace(query, after=page.after)
