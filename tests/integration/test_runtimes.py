"""Runtimes with the real uv, real interpreters and real signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import uv

from minisched.runtimes import RuntimeBuildFailed, RuntimeCatalog, inspect_interpreter, probe_interpreter
from tests.uv_standin import write_uv_standin
from tests.waiting import wait_until

CREATE = """
import sys, uv
from pathlib import Path
from minisched.runtimes import Inspection, RuntimeCatalog
uv.find_uv_bin = lambda: sys.argv[1]
from minisched.cli.interruption import interrupted_once
with interrupted_once(b"cleaning"):
    RuntimeCatalog(Path(sys.argv[2])).create("one")
"""


@pytest.fixture
def empty_environment(tmp_path: Path) -> Path:
    """The interpreter of an environment with nothing in it, made by the real uv."""
    target = tmp_path / "environment"
    subprocess.run(
        [uv.find_uv_bin(), "venv", "--quiet", "--python", sys.executable, str(target)], check=True, cwd=tmp_path
    )
    return target / "bin" / "python"


def site_packages(python: Path) -> Path:
    (found,) = (python.parent.parent / "lib").glob("python*/site-packages")
    return found


class TestProbe:
    def test_an_interpreter_without_the_package(self, empty_environment: Path) -> None:
        probe = probe_interpreter(empty_environment)

        assert (probe.version, probe.present) == (None, False)
        assert probe.python_version.startswith("3.")

    def test_an_installed_package_is_known_without_importing_it(self, empty_environment: Path, tmp_path: Path) -> None:
        record = site_packages(empty_environment) / "openmetadata_ingestion-2.0.7.0.dist-info"
        record.mkdir()
        (record / "METADATA").write_text("Metadata-Version: 2.1\nName: openmetadata-ingestion\nVersion: 2.0.7.0\n")
        package = site_packages(empty_environment) / "metadata"
        package.mkdir()
        (package / "__init__.py").write_text("raise SystemExit('imported')")

        probe = probe_interpreter(empty_environment)
        assert (probe.version, probe.present) == ("2.0.7.0", True)

        catalog = RuntimeCatalog(tmp_path / "runtimes")
        before = catalog.resolve(str(empty_environment))
        os.utime(record, ns=(1, 1))
        after = catalog.resolve(str(empty_environment.parent.parent))
        assert before.python == after.python == empty_environment
        assert before.fingerprint != after.fingerprint

    def test_a_source_tree_counts_too(self, empty_environment: Path) -> None:
        (site_packages(empty_environment) / "metadata" / "ingestion").mkdir(parents=True)

        probe = probe_interpreter(empty_environment)

        assert (probe.version, probe.present) == (None, True)

    def test_our_own_python_variables_do_not_lead_it_astray(
        self, empty_environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "ours" / "metadata" / "ingestion").mkdir(parents=True)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "ours"))

        assert not probe_interpreter(empty_environment).present


def test_inspecting_an_empty_environment_says_that_nothing_works(empty_environment: Path) -> None:
    inspection = inspect_interpreter(empty_environment)

    assert inspection.version is None
    assert "No module named 'metadata'" in (inspection.problem or "")


class TestInterruption:
    @pytest.fixture
    def creation(self, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
        environ = {**os.environ, "STANDIN_UV_HANGS": str(tmp_path / "pids")}
        program = write_uv_standin(tmp_path)
        process = subprocess.Popen(
            [sys.executable, "-c", CREATE, str(program), str(tmp_path / "runtimes")],
            env=environ,
            stderr=subprocess.PIPE,
        )
        with process:
            yield process
            process.kill()

    @pytest.fixture
    def uv_pids(self, creation: subprocess.Popen[bytes], tmp_path: Path) -> list[int]:
        wait_until((tmp_path / "pids").exists, timeout_s=30)
        return [int(pid) for pid in (tmp_path / "pids").read_text().split()]

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_leaves_no_process_and_no_files(
        self, creation: subprocess.Popen[bytes], uv_pids: list[int], tmp_path: Path, number: signal.Signals
    ) -> None:
        assert (tmp_path / "runtimes" / ".one.building").exists()

        creation.send_signal(number)

        assert creation.wait(timeout=30) != 0
        wait_until(lambda: not any(_runs(pid) for pid in uv_pids))
        assert [entry.name for entry in (tmp_path / "runtimes").iterdir()] == [".one.lock"]

    def test_a_killed_creation_keeps_its_lock_until_uv_has_gone_too(
        self, creation: subprocess.Popen[bytes], uv_pids: list[int], tmp_path: Path
    ) -> None:
        creation.kill()
        creation.wait()

        second = _create(tmp_path)
        assert b"RuntimeBusy" in second.stderr

        for pid in uv_pids:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not any(_runs(pid) for pid in uv_pids))
        third = _create(tmp_path)
        # The stand-in installs nothing, so the check that follows has to refuse it.
        assert b"RuntimeBuildFailed" in third.stderr
        assert [entry.name for entry in (tmp_path / "runtimes").iterdir()] == [".one.lock"]


def _create(tmp_path: Path) -> subprocess.CompletedProcess[bytes]:
    arguments = [sys.executable, "-c", CREATE, str(tmp_path / "uv"), str(tmp_path / "runtimes")]
    return subprocess.run(arguments, capture_output=True, timeout=60, check=False)


def _runs(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_the_real_uv_refuses_a_version_that_does_not_exist_and_nothing_is_left(tmp_path: Path) -> None:
    catalog = RuntimeCatalog(tmp_path)

    with pytest.raises(RuntimeBuildFailed, match="openmetadata-ingestion") as raised:
        catalog.create("one", version="0.0.0.1", python=sys.executable)

    assert raised.value.output
    assert [entry.name for entry in tmp_path.iterdir()] == [".one.lock"]


@pytest.mark.real_runtime
def test_the_real_package_imports_from_outside(real_runtime: Path, tmp_path: Path) -> None:
    runtime, inspection = RuntimeCatalog(tmp_path).inspect(str(real_runtime))

    assert inspection.problem is None
    assert inspection.version == runtime.version
    assert inspection.modules["metadata.workflow.metadata"] is None
    assert 0 < inspection.import_s < 300


@pytest.mark.real_runtime
def test_the_command_line_tells_scripts_the_same(real_runtime: Path, tmp_path: Path) -> None:
    environ = {**os.environ, "MINISCHED_DATA_DIR": str(tmp_path / "data")}
    done = subprocess.run(
        [sys.executable, "-m", "minisched", "runtime", "inspect", str(real_runtime), "--json"],
        env=environ,
        capture_output=True,
        timeout=300,
        check=True,
    )

    told = json.loads(done.stdout)
    assert told["python"] == str(real_runtime)
    assert told["version"] == told["inspection"]["version"]
