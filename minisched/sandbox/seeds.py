"""What is there before anybody sends anything, as on a fresh OpenMetadata: people, tests, classifications.

Ids are derived from names, so that a sandbox that was emptied gives the same ones again.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator

from minisched.domain.pipeline import Document
from minisched.sandbox.callers import ADMIN, ADMIN_NAME, BOT_NAME
from minisched.sandbox.catalog import Catalog
from minisched.sandbox.kinds import BY_TYPE
from minisched.sandbox.test_definitions import standard_test_definitions

_NAMESPACE = uuid.UUID("b0f8a7d2-5d0c-5c39-8a3e-6c1f0b9d4e22")

# Recognizers of presidio by name, as the ingestion package knows them, and whether what they find is sensitive.
_SENSITIVE = (
    "CreditCardRecognizer", "CryptoRecognizer", "EmailRecognizer", "IbanRecognizer", "MedicalLicenseRecognizer",
    "PhoneRecognizer", "UsBankRecognizer", "UsItinRecognizer", "UsLicenseRecognizer", "UsPassportRecognizer",
    "UsSsnRecognizer",
)  # fmt: skip
_NOT_SENSITIVE = ("DateRecognizer", "IpRecognizer", "UrlRecognizer")


def plant(catalog: Catalog) -> None:
    """Make what is missing; what exists, changed or not, stays."""
    for entity_type, request in _requests():
        fqn = ".".join(filter(None, (request.get("classification"), request["name"])))
        if catalog.find(entity_type, fqn) is None:
            catalog.create(BY_TYPE[entity_type], {"id": seed_id(entity_type, request["name"]), **request}, ADMIN)


def seed_id(entity_type: str, name: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, f"{entity_type}:{name}"))


def _requests() -> Iterator[tuple[str, Document]]:
    yield "user", {"name": ADMIN_NAME, "email": "admin@open-metadata.org", "isAdmin": True}
    yield "user", {"name": BOT_NAME, "email": f"{BOT_NAME}@open-metadata.org", "isBot": True, "isAdmin": False}
    yield "bot", {"name": BOT_NAME, "botUser": BOT_NAME, "provider": "system"}
    for request in standard_test_definitions():
        yield "testDefinition", request
    yield from _classifications()


def _classifications() -> Iterator[tuple[str, Document]]:
    pii = {
        "name": "PII",
        "description": "Personally identifiable information.",
        "mutuallyExclusive": True,
        "provider": "system",
        "autoClassificationConfig": {"enabled": True, "conflictResolution": "highest_confidence"},
    }
    yield "classification", pii
    yield "tag", _tag("Sensitive", "What hurts a person when it gets out.", _SENSITIVE)
    yield "tag", _tag("NonSensitive", "What may point to a person, together with other things.", _NOT_SENSITIVE)
    yield "tag", _tag("None", "Nothing personal.", ())


def _tag(name: str, description: str, recognizers: tuple[str, ...]) -> Document:
    return {
        "name": name,
        "classification": "PII",
        "description": description,
        "provider": "system",
        "autoClassificationEnabled": bool(recognizers),
        "recognizers": [_recognizer(recognizer) for recognizer in recognizers],
    }


def _recognizer(name: str) -> Document:
    return {
        "id": seed_id("recognizer", name),
        "name": name,
        "enabled": True,
        "isSystemDefault": True,
        "confidenceThreshold": 0.6,
        "recognizerConfig": {"type": "predefined", "name": name, "supportedLanguage": "en"},
    }
