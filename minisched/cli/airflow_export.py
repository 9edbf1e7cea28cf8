"""What is deployed here, as files that OpenMetadata's Airflow plugin reads: the way back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from minisched.cli.whole_files import make_private_directory, write_file
from minisched.clients.airflow.payload import differences, for_the_plugin
from minisched.domain.errors import MinischedError
from minisched.domain.from_airflow import clear_secrets
from minisched.domain.pipeline import Deployment, Document
from minisched.domain.secrets import mask

CONFIGS = "dag_generated_configs"
DAGS = "dags"

# Airflow looks only at files that hold the words airflow and DAG.
_DAG_FILE = '''"""An Airflow DAG of OpenMetadata, written by minisched export airflow."""

from openmetadata_managed_apis.workflows.workflow_factory import WorkflowFactory

WorkflowFactory.create({path!r}).generate_dag(globals())
'''


@dataclass(frozen=True, slots=True)
class Exported:
    """One pipeline, the file that it is in unless there is a problem, and what Airflow will do otherwise."""

    deployment: Deployment
    path: Path
    secrets: int = 0
    notes: tuple[str, ...] = ()
    problem: str | None = None


class AirflowDirectory:
    """Writes `dag_generated_configs/<workflow id>.json`, and `dags/<workflow id>.py` where it is told how Airflow will
    see the former."""

    def __init__(self, directory: Path, *, with_secrets: bool, configs_path: str | None) -> None:
        self._directory = directory
        self._with_secrets = with_secrets
        self._configs_path = configs_path

    def prepare(self) -> None:
        """Raises InvalidInput."""
        for name in ("", CONFIGS, *([DAGS] if self._configs_path else [])):
            make_private_directory(self._directory / name)

    def write(self, deployment: Deployment, document: Document) -> Exported:
        """One that cannot be written stops nothing."""
        path = self._directory / CONFIGS / f"{deployment.clean_name}.json"
        written = for_the_plugin(document)
        if not self._with_secrets:
            written = mask(written)
        try:
            write_file(path, json.dumps(written))
            self._write_dag(deployment)
        except MinischedError as error:
            return Exported(deployment, path, problem=str(error))
        return Exported(deployment, path, clear_secrets(document), differences(document))

    def _write_dag(self, deployment: Deployment) -> None:
        if self._configs_path:
            seen = f"{self._configs_path.rstrip('/')}/{deployment.clean_name}.json"
            write_file(self._directory / DAGS / f"{deployment.clean_name}.py", _DAG_FILE.format(path=seen))


def refused(deployment: Deployment, problem: str) -> Exported:
    return Exported(deployment, Path(), problem=problem)


def report_document(exported: Sequence[Exported], *, with_secrets: bool) -> Document:
    """For `--json`."""
    return {
        "withSecrets": with_secrets,
        "pipelines": [
            {
                "fullyQualifiedName": one.deployment.fqn,
                "file": None if one.problem else str(one.path),
                "enabled": one.deployment.enabled,
                "secrets": one.secrets,
                "notes": list(one.notes),
                "problem": one.problem,
            }
            for one in exported
        ],
    }
