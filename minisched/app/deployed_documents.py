"""What is deployed on this machine, with its secrets, for whoever may read the data directory: no server is asked."""

from __future__ import annotations

from minisched.app.catalog import own_connection, secret_box
from minisched.app.database_at_rest import database_at_rest
from minisched.clients.connection import ConnectionSource
from minisched.domain.pipeline import Deployment, Document
from minisched.settings import Settings
from minisched.store.deployments import SqlDeploymentStore


def deployments(settings: Settings) -> list[Deployment]:
    """By FQN. Raises ConfigurationError when there is no database of this version, or not its key."""
    with database_at_rest(settings) as database:
        return SqlDeploymentStore(database, secret_box(settings)).all()


def completed(settings: Settings, deployment: Deployment, server_url: str) -> Document:
    """Its document as an OpenMetadata server would deploy it: with the connection that its runs use, and its `enabled`.

    Raises ConfigurationError when there is no server that it could name.
    """
    source = ConnectionSource(own_connection(settings, server_url))
    return {**source.complete(deployment.document), "enabled": deployment.enabled}
