"""Which OpenMetadata server a run talks to: that of its own document, else the one this node is set up with."""

from __future__ import annotations

from minisched.domain.errors import ConfigurationError
from minisched.domain.pipeline import Document


def connection_document(
    host_port: str, token: str | None, *, verify_ssl: str = "no-ssl", ca_file: str | None = None
) -> Document:
    """An OpenMetadataConnection (contract §4.6) that every line of the ingestion package understands."""
    document: Document = {
        "type": "OpenMetadata",
        "clusterName": "openmetadata",
        "hostPort": host_port,
        "authProvider": "openmetadata",
        "verifySSL": verify_ssl,
        "securityConfig": {"jwtToken": token or ""},
    }
    if ca_file:
        document["sslConfig"] = {"caCertificate": ca_file}
    return document


class ConnectionSource:
    """Completes documents with this node's connection, at the moment when it is needed (never at deploy)."""

    def __init__(self, own: Document | None) -> None:
        self._own = own

    def complete(self, document: Document) -> Document:
        """The document with its `openMetadataServerConnection`. Raises ConfigurationError when there is none at all."""
        if document.get("openMetadataServerConnection"):
            return document
        if self._own is None:
            raise ConfigurationError(
                "The pipeline names no OpenMetadata server, and neither do the settings.",
                field="openmetadata.host_port",
                hint="Set it, or sandbox.enabled: true.",
            )
        return {**document, "openMetadataServerConnection": self._own}
