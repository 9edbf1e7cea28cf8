# mypy: ignore-errors
"""The one workflow class that old lines have for metadata, usage and lineage; it prints its summary when asked."""

from __future__ import annotations


class Workflow:
    def __init__(self, config):
        self.config = config

    @classmethod
    def create(cls, config):
        return cls(config)

    def execute(self):
        print("executed by", type(self).__module__, "as", self.config["source"]["type"])

    def raise_from_status(self, raise_warnings=False):
        pass

    def print_status(self):
        print("legacy summary")

    def stop(self):
        pass
