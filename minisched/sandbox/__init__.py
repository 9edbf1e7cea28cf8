"""The sandbox: a stand-in for an OpenMetadata server that keeps whatever entities a workflow sends it."""
