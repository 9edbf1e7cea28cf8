"""Pipelines of an Airflow, as its plugin's files and its database tell of them, handed to a running server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from minisched.cli.exit_codes import ServerRefused
from minisched.cli.generated_configs import GeneratedConfig, Unreadable, read_directory
from minisched.cli.server import DEPLOYMENTS, Server
from minisched.domain.errors import NotFound
from minisched.domain.from_airflow import Difference, clear_secrets, differences, masked_secrets
from minisched.store.airflow_database import AirflowDag, read_dags

REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Found:
    """A pipeline of Airflow. `dag` is None when Airflow's database was not asked, or does not know it."""

    config: GeneratedConfig
    dag: AirflowDag | None
    differences: tuple[Difference, ...]
    secrets: int
    masked: int
    fires: bool

    @property
    def airflow_config(self) -> dict[str, Any]:
        return dict(self.config.document.get("airflowConfig") or {})


@dataclass(frozen=True, slots=True)
class Inventory:
    """All that a directory holds. `asked` says whether Airflow's database was read."""

    found: Sequence[Found]
    unreadable: Sequence[Unreadable]
    asked: bool


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of one pipeline: the server's word for it, or `refused` with its reason."""

    found: Found
    outcome: str
    enabled: bool | None
    notes: tuple[str, ...] = ()
    problem: str | None = None


def take_stock(directory: Path, database_url: str | None) -> Inventory:
    """Read everything, change nothing. Raises InvalidInput for a directory or a database that cannot be read."""
    configs, unreadable = read_directory(directory)
    dags = read_dags(database_url, [config.dag_id for config in configs]) if database_url else None
    now = datetime.now(tz=UTC)
    return Inventory([_found(config, dags, now) for config in configs], unreadable, dags is not None)


def _found(config: GeneratedConfig, dags: Mapping[str, AirflowDag] | None, now: datetime) -> Found:
    dag = (dags or {}).get(config.dag_id)
    return Found(
        config=config,
        dag=dag,
        differences=differences(config.document, now=now),
        secrets=clear_secrets(config.document),
        masked=masked_secrets(config.document),
        fires=_fires(config, dag, asked=dags is not None),
    )


def _fires(config: GeneratedConfig, dag: AirflowDag | None, *, asked: bool) -> bool:
    """Whether Airflow fires it by itself; without its database, whether OpenMetadata thinks so."""
    if asked:
        return dag is not None and not dag.paused
    return config.document.get("enabled") is not False


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is to be done with all of them; without a runtime the server chooses."""

    enable: bool = False
    dry_run: bool = False
    runtime: str | None = None


def hand_over(server: Server, found: Sequence[Found], wishes: Wishes) -> Iterator[Imported]:
    """One after the other; one that is refused stops nothing. Raises ServerUnreachable."""
    for pipeline in found:
        yield _hand_over(server, pipeline, wishes)


def _hand_over(server: Server, found: Found, wishes: Wishes) -> Imported:
    body = {
        "pipeline": found.config.document,
        "enabled": True if wishes.enable and found.fires else None,
        "runtime": wishes.runtime,
        "dryRun": wishes.dry_run,
    }
    try:
        done = server.post(DEPLOYMENTS, body)
    except (ServerRefused, NotFound) as error:
        return Imported(found, REFUSED, None, problem=str(error))
    return Imported(found, done["standing"], done["enabled"], tuple(done["notes"]))
