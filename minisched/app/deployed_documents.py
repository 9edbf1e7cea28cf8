"""What is deployed on this machine, with its secrets, for whoever may read the data directory: no server is asked."""

from __future__ import annotations

from contextlib import closing

from minisched.app.catalog import own_connection, secret_box
from minisched.clients.connection import ConnectionSource
from minisched.domain.errors import ConfigurationError
from minisched.domain.pipeline import Deployment, Document
from minisched.settings import Settings
from minisched.store import migrations
from minisched.store.deployments import SqlDeploymentStore
from minisched.store.engine import open_database


def deployments(settings: Settings) -> list[Deployment]:
    """By FQN. Raises ConfigurationError when there is no database of this version, or not its key."""
    url = settings.database_url.get_secret_value()
    absent = settings.database.url is None and not (settings.data_dir / "minisched.db").exists()
    if absent or migrations.current(url) != migrations.head():
        raise ConfigurationError(
            f"{settings.data_dir} has no database of this version.",
            field="data_dir",
            hint="Run this where the server runs, with its settings.",
        )
    with closing(open_database(url, busy_timeout_s=settings.database.busy_timeout_s)) as database:
        return SqlDeploymentStore(database, secret_box(settings)).all()


def completed(settings: Settings, deployment: Deployment, server_url: str) -> Document:
    """Its document as an OpenMetadata server would deploy it: with the connection that its runs use, and its `enabled`.

    Raises ConfigurationError when there is no server that it could name.
    """
    source = ConnectionSource(own_connection(settings, server_url))
    return {**source.complete(deployment.document), "enabled": deployment.enabled}
