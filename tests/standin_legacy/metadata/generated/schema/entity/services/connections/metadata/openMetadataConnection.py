# mypy: ignore-errors
"""The model of a connection to OpenMetadata: it takes everything."""

from __future__ import annotations

from typing import ClassVar


class OpenMetadataConnection:
    model_config: ClassVar = {}
    model_fields: ClassVar = {}

    def __getitem__(self, name):
        return self.values[name]

    def __init__(self, values):
        self.values = values

    @classmethod
    def model_validate(cls, values):
        return cls(values)
