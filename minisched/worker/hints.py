"""What a person can do about an error: by the name of the exception, then by what its text says."""

from __future__ import annotations

import re

_BY_TYPE = {
    "OMetaClientInitError": "Check the OpenMetadata host, its JWT token and that its version fits this runtime's.",
    "VersionMismatchException": "Use a runtime of the OpenMetadata server's version.",
    "MissingPluginException": "Add the extra of this connector to the runtime and deploy again.",
    "ParsingConfigurationError": "Correct the named fields in the pipeline or its service connection.",
    "ValidationError": "Correct the named fields in the configuration.",
    "InvalidWorkflowJSONException": "Check that the service is in OpenMetadata and that the bot's token may read it.",
    "InvalidWorkflowException": "The configuration needs a `type` in sourceConfig.config and serviceConnection.config.",
    "TestConnectionDefinitionNotFoundError": "OpenMetadata has no test for this connector: its version does not fit.",
    "SourceConnectionException": "Check host, port and credentials of the source, and that this machine can reach it.",
    "DynamicImportException": "Check the class path, and that its package is installed in the runtime.",
    "UnsupportedKind": "Choose a runtime of a version that has this kind of pipeline.",
    "MemoryError": "Give the run more memory, or narrow its filters.",
}

# These say more than any class does.
_DECISIVE = (
    (r"\b401\b|unauthori[sz]ed|token.{0,20}(expired|invalid)", "The bot's token was rejected: deploy again."),
    (
        r"spacy-models|Can't find model 'en_core",
        "Install the spaCy language model of auto classification in the runtime.",
    ),
)
_BY_TEXT = (
    (r"\b403\b|forbidden|not authori[sz]ed|permission", "The bot's roles do not allow this."),
    (r"version.{0,40}mismatch|client version", "Use a runtime of the OpenMetadata server's version."),
    (r"no such module|No module named", "Add the missing package to the runtime."),
    (r"No space left on device", "Free disk space on the machine that runs the pipelines."),
    (r"connection refused|could not translate host|name or service not known|timed out|no route to host",
     "Check host and port, and that this machine can reach it."),
)  # fmt: skip


def hint_for(kinds: list[str], message: str) -> str | None:
    """The most specific hint: `kinds` are the exception's classes, most derived first."""
    for pattern, hint in _DECISIVE:
        if re.search(pattern, message, re.IGNORECASE):
            return hint
    for kind in kinds:
        if kind in _BY_TYPE:
            return _BY_TYPE[kind]
    for pattern, hint in _BY_TEXT:
        if re.search(pattern, message, re.IGNORECASE):
            return hint
    return None
