"""An application for tests: executed in a runtime by ApplicationWorkflow, never imported by the tests."""

from metadata.generated.schema.api.classification.createClassification import CreateClassificationRequest
from metadata.workflow.application import AppRunner


class Marker(AppRunner):  # type: ignore[misc]  # the package is in another interpreter
    """Leaves a classification whose name is what the app was configured, or overridden for one run, to say."""

    @property
    def name(self) -> str:
        return "Marker"

    def run(self) -> None:
        words = self.app_config.root if hasattr(self.app_config, "root") else self.app_config
        words = words if isinstance(words, dict) else words.model_dump()
        self.metadata.create_or_update(CreateClassificationRequest(name=words["words"], description="left by Marker"))

    def close(self) -> None:
        pass
