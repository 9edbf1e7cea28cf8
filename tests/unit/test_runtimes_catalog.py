"""The catalog of runtimes over a stand-in for uv: what is there afterwards, whatever happens."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import uv

from minisched.domain.errors import InvalidInput, RuntimeUnusable
from minisched.runtimes import (
    Inspection,
    Phase,
    Probe,
    Progress,
    RuntimeBuildFailed,
    RuntimeBusy,
    RuntimeCatalog,
    RuntimeExists,
    RuntimeNotFound,
)
from minisched.runtimes import catalog as catalog_module
from minisched.runtimes.usage import processes_in
from tests.uv_standin import write_uv_standin

WORKS = Inspection("3.11.7", "2.0.7.0", {"metadata.workflow.metadata": None}, 5.0)
PARTLY = Inspection(
    "3.11.7",
    "2.0.7.0",
    {"metadata.workflow.metadata": None, "metadata.workflow.classification": "ModuleNotFoundError: no presidio"},
    5.0,
)
BROKEN = Inspection("3.11.7", "1.7.0", {"metadata.workflow.metadata": "ImportError: no cachetools"}, 1.0)


def inspecting(answer: Inspection) -> object:
    def inspect(python: Path, python_path: Sequence[Path]) -> Inspection:
        assert python.exists()
        return answer

    return inspect


@pytest.fixture(autouse=True)
def uv_standin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = write_uv_standin(tmp_path)
    monkeypatch.setattr(uv, "find_uv_bin", lambda: str(program))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "runtimes"


def catalog_of(directory: Path, answer: Inspection = WORKS, **options: object) -> RuntimeCatalog:
    options = {"inspect": inspecting(answer), "in_use": lambda _: [], **options}
    return RuntimeCatalog(directory, **options)  # type: ignore[arg-type]


def names_in(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir() if not entry.name.endswith(".lock"))


class TestCreate:
    def test_a_new_runtime_is_listed_with_its_manifest(self, directory: Path) -> None:
        catalog = catalog_of(directory, PARTLY)

        made = catalog.create("new", version="2.0", extras=["postgres"])

        assert (made.name, made.version, made.python) == ("new", "2.0.7.0", directory / "new" / "bin" / "python")
        assert made.manifest is not None
        assert made.manifest.requirement == "openmetadata-ingestion[postgres]==2.0.*"
        assert made.manifest.extras == ("postgres",)
        assert made.manifest.failures == {"metadata.workflow.classification": "ModuleNotFoundError: no presidio"}
        assert made.manifest.import_s == 5.0
        assert made.manifest.python_version == "3.11.7"
        assert made.manifest.uv_version
        assert made.manifest.created_at.endswith("+00:00")
        assert catalog.list() == [made]
        assert catalog.resolve("new") == made
        assert names_in(directory) == ["new"]
        assert directory.stat().st_mode & 0o077 == 0

    def test_uv_is_asked_for_bytecode_overrides_and_what_the_line_forgot(self, directory: Path) -> None:
        catalog_of(directory).create("old", version="1.9")

        arguments = (directory / "old" / "arguments.txt").read_text().splitlines()
        assert "--compile-bytecode" in arguments
        assert "openmetadata-ingestion[postgres,mysql]==1.9.*" in arguments
        assert "cachetools" in arguments
        overrides = (directory / "old" / "overrides.txt").read_text()
        assert "dbt-core-experimental-parser; sys_platform == 'never'" in overrides.splitlines()

    def test_progress_goes_from_python_to_done(self, directory: Path) -> None:
        told: list[Progress] = []

        catalog_of(directory).create("new", on_progress=told.append)

        assert [step.phase for step in told] == [Phase.PYTHON, Phase.RESOLVE, Phase.CHECK, Phase.DONE]
        assert told[-1].fraction == 1.0

    @pytest.mark.parametrize("name", ["", "auto", ".hidden", "../up", "a/b", "a b", "ä", "x" * 65, "-x"])
    def test_a_name_that_could_not_be_a_directory_of_ours_is_refused(self, directory: Path, name: str) -> None:
        with pytest.raises(InvalidInput):
            catalog_of(directory).create(name)
        assert not directory.exists()

    def test_a_name_that_is_taken_is_refused_unless_it_is_to_be_replaced(self, directory: Path) -> None:
        first = catalog_of(directory).create("one")
        with pytest.raises(RuntimeExists):
            catalog_of(directory).create("one")
        assert catalog_of(directory).resolve("one") == first

        second = catalog_of(directory, PARTLY).create("one", replace=True, extras=[])

        assert second.fingerprint != first.fingerprint
        assert catalog_of(directory).list() == [second]
        assert names_in(directory) == ["one"]

    def test_failure_of_uv_names_the_package_and_leaves_nothing(
        self, directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        said = tmp_path / "said.txt"
        said.write_text("Resolved 3 packages in 1ms\nerror: Failed to build `pyodbc==5.1`\n  cause: gcc is missing\n")
        monkeypatch.setenv("STANDIN_UV_SAYS", str(said))
        monkeypatch.setenv("STANDIN_UV_CODE", "1")

        with pytest.raises(
            RuntimeBuildFailed, match=r"The package pyodbc==5\.1 could not be installed.*gcc is missing"
        ):
            catalog_of(directory).create("new")

        assert names_in(directory) == []

    def test_failure_to_import_leaves_nothing_and_keeps_what_was_to_be_replaced(self, directory: Path) -> None:
        before = catalog_of(directory).create("one")

        with pytest.raises(RuntimeBuildFailed, match="no cachetools"):
            catalog_of(directory, BROKEN).create("one", replace=True)

        assert names_in(directory) == ["one"]
        assert catalog_of(directory).resolve("one") == before

    def test_an_extra_that_the_version_does_not_have_is_refused(
        self, directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        said = tmp_path / "said.txt"
        said.write_text("warning: The package `openmetadata-ingestion==2.0` does not have an extra named `postgers`\n")
        monkeypatch.setenv("STANDIN_UV_SAYS", str(said))

        with pytest.raises(RuntimeBuildFailed, match="no extra named postgers"):
            catalog_of(directory).create("new", extras=["postgers"])
        assert names_in(directory) == []

    def test_a_python_that_is_not_there_is_told_with_what_is_needed(self, directory: Path, tmp_path: Path) -> None:
        (tmp_path / "uv").write_text("#!/bin/sh\necho 'error: No interpreter found for Python 3.77'\nexit 2\n")

        with pytest.raises(RuntimeBuildFailed, match=r"The environment could not be made\. No interpreter") as raised:
            catalog_of(directory).create("new", python="3.77")
        assert ">=3.10,<3.14" in (raised.value.hint or "")

    def test_what_a_killed_creation_left_is_cleared_by_the_next(self, directory: Path) -> None:
        (directory / ".one.building" / "bin").mkdir(parents=True)

        catalog_of(directory).create("one")

        assert names_in(directory) == ["one"]

    def test_a_replacement_killed_half_way_gives_the_former_one_back(self, directory: Path) -> None:
        before = catalog_of(directory).create("one")
        (directory / "one").rename(directory / ".one.former")

        with pytest.raises(RuntimeExists):
            catalog_of(directory).create("one")

        assert catalog_of(directory).resolve("one") == before

    def test_two_at_once_do_not_meet(self, directory: Path) -> None:
        directory.mkdir()
        with (directory / ".one.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with pytest.raises(RuntimeBusy, match="by another process"):
                catalog_of(directory).create("one")
            assert catalog_of(directory).create("two").name == "two"

    def test_secrets_of_our_environment_stay_with_us(
        self, directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "uv").write_text(f"#!/bin/sh\nenv > {tmp_path}/env\nexit 1\n")
        monkeypatch.setenv("MINISCHED_OPENMETADATA__JWT_TOKEN", "canary")
        monkeypatch.setenv("VIRTUAL_ENV", "/elsewhere")

        with pytest.raises(RuntimeBuildFailed):
            catalog_of(directory).create("new")

        seen = (tmp_path / "env").read_text()
        assert "canary" not in seen
        assert "VIRTUAL_ENV" not in seen


class TestRemove:
    def test_it_is_gone(self, directory: Path) -> None:
        catalog = catalog_of(directory)
        catalog.create("one")

        catalog.remove("one")

        assert catalog.list() == []
        assert names_in(directory) == []

    def test_what_is_not_there_cannot_be_removed(self, directory: Path) -> None:
        with pytest.raises(RuntimeNotFound, match="no runtime 'one'"):
            catalog_of(directory).remove("one")

    def test_a_broken_one_can(self, directory: Path) -> None:
        (directory / "odd").mkdir(parents=True)

        catalog_of(directory).remove("odd")

        assert names_in(directory) == []

    def test_one_in_use_cannot_be_removed_nor_replaced(self, directory: Path) -> None:
        catalog_of(directory).create("one")
        busy = catalog_of(directory, in_use=lambda _: [4711])

        with pytest.raises(RuntimeBusy, match="4711"):
            busy.remove("one")
        with pytest.raises(RuntimeBusy, match="in use"):
            busy.create("one", replace=True)
        assert [runtime.name for runtime in busy.list()] == ["one"]

    def test_a_process_of_its_interpreter_counts_as_use(self, directory: Path) -> None:
        python = catalog_of(directory).create("one").python
        assert processes_in(directory / "one") == []

        process = subprocess.Popen(
            [str(python), "-c", "print('up', flush=True); input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        with process:
            assert process.stdout is not None
            process.stdout.readline()
            assert processes_in(directory / "one") == [process.pid]
            assert processes_in(directory / "on") == []
            process.communicate(b"\n")


class TestResolve:
    @pytest.fixture(autouse=True)
    def no_interpreter_at_hand(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(catalog_module, "_interpreters_at_hand", lambda: iter(()))

    def test_auto_prefers_the_one_named_default(self, directory: Path) -> None:
        catalog = catalog_of(directory)
        for name in ("another", "default", "zebra"):
            catalog.create(name)

        assert catalog.resolve().name == "default"
        assert catalog.resolve("auto").name == "default"
        assert catalog_of(directory, default="zebra").resolve().name == "zebra"

    def test_auto_takes_the_only_one(self, directory: Path) -> None:
        catalog_of(directory).create("special")
        (directory / "broken").mkdir()

        assert catalog_of(directory).resolve().name == "special"

    def test_auto_takes_an_interpreter_at_hand_that_has_the_package(
        self, directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        without, with_package = tmp_path / "python-a", tmp_path / "python-b"
        for path in (without, with_package):
            path.touch()
        monkeypatch.setattr(catalog_module, "_interpreters_at_hand", lambda: iter((without, with_package)))
        probes = {without: Probe("3.11.7", None, False, 0), with_package: Probe("3.10.1", "1.9.1.0", True, 7)}

        found = catalog_of(directory, probe=probes.__getitem__).resolve()

        assert (found.python, found.version, found.name) == (with_package, "1.9.1.0", str(with_package))

    def test_auto_without_anything_says_how_to_make_one(self, directory: Path) -> None:
        with pytest.raises(RuntimeNotFound, match="minisched runtime create default"):
            catalog_of(directory).resolve()

    def test_auto_does_not_guess_among_several(self, directory: Path) -> None:
        for name in ("a", "b"):
            catalog_of(directory).create(name)

        with pytest.raises(RuntimeNotFound, match=r"several runtimes \(a, b\).*runtime\.default"):
            catalog_of(directory).resolve()

    def test_a_name_that_is_not_there_is_told_with_those_that_are(self, directory: Path) -> None:
        catalog_of(directory).create("one")

        with pytest.raises(RuntimeNotFound, match="There are: one"):
            catalog_of(directory).resolve("two")

    def test_one_whose_python_is_gone_is_listed_and_cannot_be_used(self, directory: Path) -> None:
        catalog = catalog_of(directory)
        catalog.create("one").python.unlink()

        assert [runtime.problem for runtime in catalog.list()] == ["the Python that it was made with is gone"]
        with pytest.raises(RuntimeUnusable, match="runtime create one --replace"):
            catalog.resolve("one")

    def test_one_with_a_manifest_that_makes_no_sense_cannot_be_used(self, directory: Path) -> None:
        catalog = catalog_of(directory)
        catalog.create("one")
        (directory / "one" / "manifest.json").write_text(json.dumps({"name": "one"}))

        with pytest.raises(RuntimeUnusable, match="no manifest"):
            catalog.resolve("one")

    def test_a_runtime_may_be_moved_with_its_directory(self, directory: Path, tmp_path: Path) -> None:
        catalog_of(directory).create("one")
        shutil.move(directory, tmp_path / "elsewhere")

        moved = catalog_of(tmp_path / "elsewhere").resolve("one")

        assert moved.python == tmp_path / "elsewhere" / "one" / "bin" / "python"
        assert moved.problem is None

    def test_a_path_that_is_not_there(self, directory: Path, tmp_path: Path) -> None:
        with pytest.raises(RuntimeNotFound, match="no interpreter at"):
            catalog_of(directory).resolve(str(tmp_path / "python"))

    def test_a_path_without_the_package(self, directory: Path) -> None:
        with pytest.raises(RuntimeUnusable, match="openmetadata-ingestion is not installed there"):
            catalog_of(directory).resolve(sys.executable)

    def test_a_path_that_is_no_interpreter(self, directory: Path, tmp_path: Path) -> None:
        program = tmp_path / "python"
        program.write_text("#!/bin/sh\necho no >&2\nexit 3\n")
        program.chmod(0o755)
        with pytest.raises(RuntimeUnusable, match="ended with code 3 and said: no"):
            catalog_of(directory).resolve(str(program))

        program.chmod(0o644)
        with pytest.raises(RuntimeUnusable, match="cannot be started"):
            catalog_of(directory).resolve(str(program))


def test_a_lock_is_not_a_runtime(directory: Path) -> None:
    directory.mkdir()
    os.close(os.open(directory / ".x.lock", os.O_CREAT))

    assert catalog_of(directory).list() == []
    assert RuntimeCatalog(directory / "missing").list() == []
