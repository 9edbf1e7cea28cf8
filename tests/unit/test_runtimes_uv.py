"""uv's output: how far it is, and what went wrong, as one paragraph that names the package."""

from __future__ import annotations

import pytest

from minisched.runtimes.progress import Phase, Progress, ProgressReader
from minisched.runtimes.uv import failure, unknown_extras

A_FIRST_CREATION = """\
Using Python 3.11.7 environment at: /data/runtimes/.x.building
Resolved 151 packages in 3.27s
Downloading numpy (15.9MiB)
Downloading kubernetes (1.8MiB)
   Building antlr4-python3-runtime==4.9.2
 Downloaded kubernetes
      Built antlr4-python3-runtime==4.9.2
 Downloaded numpy
Prepared 151 packages in 21.02s
Installed 151 packages in 467ms
Bytecode compiled 10484 files in 9.43s
 + numpy==1.26.4
"""


class TestProgress:
    def read(self, text: str) -> list[Progress]:
        told: list[Progress] = []
        reader = ProgressReader(told.append)
        reader.begin(Phase.PYTHON, "making the environment")
        for line in text.splitlines():
            reader.read(line)
        return told

    def test_the_phases_come_in_order_and_the_fraction_never_falls(self) -> None:
        told = self.read(A_FIRST_CREATION)

        phases = list(dict.fromkeys(step.phase for step in told))
        assert phases == [Phase.PYTHON, Phase.DOWNLOAD, Phase.BUILD, Phase.INSTALL, Phase.COMPILE, Phase.CHECK]
        fractions = [step.fraction for step in told]
        assert fractions == sorted(fractions)
        assert fractions[0] == 0
        assert fractions[-1] < 1

    def test_what_is_being_fetched_is_named_with_its_size(self) -> None:
        details = [step.detail for step in self.read(A_FIRST_CREATION)]

        assert "numpy (15.9MiB)" in details
        assert "151 packages needed" in details
        assert "numpy, antlr4-python3-runtime==4.9.2" in details

    def test_with_everything_in_the_cache_nothing_is_fetched(self) -> None:
        told = self.read("Resolved 2 packages in 3ms\nInstalled 2 packages in 4ms\nBytecode compiled 9 files in 1ms\n")

        assert [step.phase for step in told] == [Phase.PYTHON, Phase.DOWNLOAD, Phase.COMPILE, Phase.CHECK]

    def test_lines_that_mean_nothing_are_passed_over(self) -> None:
        assert len(self.read("warning: something\n\n + numpy==1\nResolved none\n")) == 1


UNSATISFIABLE = """\
Using Python 3.11.7 environment at: x
error: No solution found when resolving dependencies
  cause: Because only certifi<=2026.10.18 is available and openmetadata-ingestion>=2.0.7.0 depends on
         certifi>=2026.10.19, we can conclude that openmetadata-ingestion>=2.0.7.0 cannot be used.
         And because you require openmetadata-ingestion==2.0.7.0, we can conclude that your requirements are
         unsatisfiable.
"""
UNSATISFIABLE_OLDER_UV = """\
  × No solution found when resolving dependencies:
  ╰─▶ Because there is no version of openmetadata-ingestion==9.9.9 and you
      require openmetadata-ingestion==9.9.9, we can conclude that your
      requirements are unsatisfiable.
"""
MISSING = """\
error: No solution found when resolving dependencies
  cause: Because no-such-package was not found in the package registry and you require no-such-package, we can
         conclude that your requirements are unsatisfiable.
"""
BROKEN_BUILD = """\
Resolved 1 package in 0.93ms
   Building pyodbc==5.1
error: Failed to build `pyodbc==5.1`
  cause: The build backend returned an error
  cause: Call to `setuptools.build_meta.build_wheel` failed (exit status: 1)

         [stdout]
         running build
         [stderr]
         error: command 'gcc' failed: No such file or directory

hint: Build failures usually indicate a problem with the package or the build environment
"""
BROKEN_BUILD_OLDER_UV = """\
  × Failed to build `pyodbc==5.1`
  ├─▶ The build backend returned an error
  ╰─▶ Call to `setuptools.build_meta.build_wheel` failed (exit status: 1)

      [stderr]
      error: command 'gcc' failed: No such file or directory

      hint: This usually indicates a problem with the package or the build environment.
"""
DOWNLOAD_IN_BUILD = """\
error: Failed to build `dbt-core-experimental-parser==2.0.8`
  cause: The build backend returned an error
         [stderr]
         RuntimeError: failed to download x.whl: <urlopen error [Errno -2] Name or service not known>
"""
UNREACHABLE = """\
error: Failed to fetch: https://index.example/simple/openmetadata-ingestion/
  cause: error sending request for url (https://index.example/simple/openmetadata-ingestion/)
  cause: client error (Connect)
  cause: Connection refused (os error 111)
"""
NO_SPACE = """\
error: Failed to install: numpy-1.26.4-cp311-cp311-manylinux_2_17_x86_64.whl (numpy==1.26.4)
  cause: failed to copy file
  cause: No space left on device (os error 28)
"""


class TestFailure:
    @pytest.mark.parametrize(
        ("output", "package", "says"),
        [
            (UNSATISFIABLE, "certifi", "depends on certifi>=2026.10.19"),
            (UNSATISFIABLE_OLDER_UV, "openmetadata-ingestion==9.9.9", "unsatisfiable"),
            (MISSING, "no-such-package", "not found in the package registry"),
            (BROKEN_BUILD, "pyodbc==5.1", "command 'gcc' failed: No such file or directory"),
            (BROKEN_BUILD_OLDER_UV, "pyodbc==5.1", "command 'gcc' failed"),
            (DOWNLOAD_IN_BUILD, "dbt-core-experimental-parser==2.0.8", "failed to download"),
            (UNREACHABLE, "openmetadata-ingestion", "Connection refused"),
            (NO_SPACE, "numpy==1.26.4", "No space left on device"),
        ],
    )
    def test_is_one_paragraph_that_names_the_package(self, output: str, package: str, says: str) -> None:
        error = failure(output.splitlines(), 1)

        assert error.package == package
        assert error.message.startswith(f"The package {package} could not be installed.")
        assert says in error.message
        assert not set("\n×│├╰─▶") & set(error.message)
        assert "cause:" not in error.message
        assert error.output == output.rstrip("\n")

    @pytest.mark.parametrize("output", [DOWNLOAD_IN_BUILD, UNREACHABLE])
    def test_of_the_network_asks_for_the_index(self, output: str) -> None:
        assert "package index reachable" in (failure(output.splitlines(), 1).hint or "")

    def test_of_a_python_that_cannot_be_fetched_blames_no_package(self) -> None:
        error = failure(["error: Request failed", "  cause: Failed to download `https://x.example/cpython.tar.gz`"], 1)

        assert error.package is None
        assert error.reason == "Request failed Failed to download `https://x.example/cpython.tar.gz`."

    def test_passes_uvs_own_hint_on(self) -> None:
        assert "Build failures usually indicate" in (failure(BROKEN_BUILD.splitlines(), 1).hint or "")

    def test_without_a_known_form_shows_the_last_lines(self) -> None:
        assert failure(["one", "two"], 101).message == "The packages could not be installed. one two."
        assert "ended with code 137 and said nothing" in failure([], 137).message

    def test_is_never_longer_than_one_can_read(self) -> None:
        error = failure(["error: " + "x" * 100_000, "  [stderr]", "y" * 100_000], 1)

        assert len(error.message) < 1400


def test_unknown_extras_are_found_among_the_warnings() -> None:
    lines = ["warning: The package `openmetadata-ingestion==2.0.6.0` does not have an extra named `postgers`"]

    assert unknown_extras(lines) == ["postgers"]
    assert unknown_extras(A_FIRST_CREATION.splitlines()) == []
