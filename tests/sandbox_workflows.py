"""Configs of workflows against a sandbox, and running them in an interpreter with the real ingestion package."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minisched.domain.pipeline import Document
from tests.requirements_of_tests import skip_or_fail
from tests.sandbox_servers import TOKEN, SandboxServer

METADATA = "metadata.workflow.metadata:MetadataWorkflow"
USAGE = "metadata.workflow.usage:UsageWorkflow"
PROFILER = "metadata.workflow.profiler:ProfilerWorkflow"
TEST_SUITE = "metadata.workflow.data_quality:TestSuiteWorkflow"
CLASSIFICATION = "metadata.workflow.classification:AutoClassificationWorkflow"
APPLICATION = "metadata.workflow.application:ApplicationWorkflow"
AUTOMATION = "automation"

_HERE = Path(__file__).parent
_TIMEOUT_S = 500


@dataclass(frozen=True)
class Outcome:
    """How a workflow ended: `error` is what it raised, None when it ended well."""

    error: str | None
    steps: list[Document]

    def records(self, step: str) -> int:
        """What the first step of this name processed."""
        return int(next(found["records"] for found in self.steps if found["name"] == step))


@dataclass
class Workflows:
    """Workflows to run one after the other in one process of the runtime."""

    runtime: Path
    server: SandboxServer
    directory: Path
    orders: list[Document] = field(default_factory=list)

    def add(self, name: str, class_: str, source: Document | None = None, **config: Any) -> None:
        workflow = {"loggerLevel": "INFO", "openMetadataServerConfig": self.server.connection}
        document: Document = {"workflowConfig": workflow, **config}
        if source is not None:
            document["source"] = source
            if "bulkSink" not in config:
                document["sink"] = {"type": "metadata-rest", "config": {}}
        self.orders.append({"name": name, "class": class_, "config": document})

    def add_automation(self, name: str, document: Document) -> None:
        config = {**document, "openMetadataServerConnection": self.server.connection}
        self.orders.append({"name": name, "class": AUTOMATION, "config": config})

    def run(self, python_path: Iterable[Path] = ()) -> Mapping[str, Outcome]:
        """The outcomes by name; the output is kept in `workflows.log`."""
        results = self.directory / "results"
        text = json.dumps({"workflows": self.orders})
        self._execute("workflows_of_tests.py", results, text, "workflows.log", str(results), python_path=python_path)
        lines = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
        return {line["name"]: Outcome(line["error"], line["steps"]) for line in lines}

    def tour(self) -> Mapping[str, str | None]:
        """What the client said of each kind of entity; None where all went well."""
        results = self.directory / "tour"
        arguments = (self.server.url, TOKEN, str(results))
        self._execute("sandbox_tour.py", results, "", "tour.log", *arguments)
        lines = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
        return {line["name"]: line["error"] for line in lines}

    def _execute(
        self, script: str, results: Path, text: str, log: str, *arguments: str, python_path: Iterable[Path] = ()
    ) -> None:
        results.unlink(missing_ok=True)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(path) for path in python_path)}
        command = [str(self.runtime), str(_HERE / script), *arguments]
        with (self.directory / log).open("wb") as output:
            subprocess.run(
                command,
                input=text.encode(),
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=self.directory,
                timeout=_TIMEOUT_S,
                check=False,
            )
        assert results.exists(), (self.directory / log).read_text(encoding="utf-8", errors="replace")[-3000:]


def has_module(runtime: Path, module: str) -> bool:
    """Whether the runtime has a module, without importing it."""
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    return subprocess.run([str(runtime), "-c", code], check=False, timeout=60).returncode == 0


_BLANK_MODEL = """
import json, pathlib, spacy, sys
site = pathlib.Path(sys.argv[1])
package = site / "en_core_web_md"
package.mkdir(parents=True)
model = spacy.blank("en")
model.meta.update(name="core_web_md", version="3.8.0")
model.to_disk(package / "en_core_web_md-3.8.0")
(package / "meta.json").write_text(json.dumps(model.meta))
(package / "__init__.py").write_text(
    "from spacy.util import load_model_from_init_py\\n"
    "def load(**overrides):\\n    return load_model_from_init_py(__file__, **overrides)\\n"
)
info = site / "en_core_web_md-3.8.0.dist-info"
info.mkdir()
(info / "METADATA").write_text("Metadata-Version: 2.1\\nName: en_core_web_md\\nVersion: 3.8.0\\n")
"""


def blank_language_model(runtime: Path, site: Path) -> Path:
    """A directory with an English spaCy model that knows no names, under the name that classification asks for.

    The real one is downloaded from GitHub; recognizers that go by patterns do not need what it knows.
    """
    if not has_module(runtime, "spacy"):
        skip_or_fail("the runtime lacks spacy: it was made without the extra pii-processor")
    subprocess.run([str(runtime), "-c", _BLANK_MODEL, str(site)], check=True, timeout=120)
    return site
