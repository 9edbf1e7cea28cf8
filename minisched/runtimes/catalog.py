"""The runtimes of this machine: those that we made, by name, and those that we are pointed to."""

from __future__ import annotations

import contextlib
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from minisched.domain.errors import InvalidInput, RuntimeUnusable
from minisched.runtimes.building import Order, build
from minisched.runtimes.errors import RuntimeBusy, RuntimeExists, RuntimeNotFound
from minisched.runtimes.inspection import Inspection, Probe, inspect_interpreter, probe_interpreter
from minisched.runtimes.locking import try_lock
from minisched.runtimes.progress import OnProgress, Phase, Progress
from minisched.runtimes.runtime import INTERPRETER, Runtime, fingerprint_of, read_manifest
from minisched.runtimes.usage import processes_in

AUTO = "auto"
DEFAULT_NAME = "default"
CREATE_HINT = "Make one with: minisched runtime create default"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_BUILDING, _FORMER, _LOCK = ".building", ".former", ".lock"


class RuntimeCatalog:
    """Finds, creates, inspects and removes runtimes.

    `directory` holds ours, one sub-directory each. `default` is what `resolve` takes when nobody names a runtime.
    `python_path` are directories of connectors that people wrote themselves. `in_use` gives the processes that a
    removal would pull the ground from; `inspect` and `probe` start interpreters. Methods may be called from any
    thread and from several processes.
    """

    def __init__(
        self,
        directory: Path,
        *,
        default: str = AUTO,
        python_path: Sequence[Path] = (),
        in_use: Callable[[Path], list[int]] = processes_in,
        inspect: Callable[[Path, Sequence[Path]], Inspection] = inspect_interpreter,
        probe: Callable[[Path], Probe] = probe_interpreter,
    ) -> None:
        self._directory = directory.absolute()
        self._default = default
        self._python_path = tuple(python_path)
        self._in_use = in_use
        self._inspect = inspect
        self._probe = probe

    def list(self) -> list[Runtime]:
        """Ours, by name; those that cannot be used have a `problem`."""
        if not self._directory.is_dir():
            return []
        entries = sorted(self._directory.iterdir())
        return [self._ours(entry.name) for entry in entries if entry.is_dir() and not entry.name.startswith(".")]

    def resolve(self, name: str | None = None) -> Runtime:
        """The runtime of this name, of this interpreter's path, or the one that `auto` finds.

        Raises RuntimeNotFound, or RuntimeUnusable when it is there but broken.
        """
        wanted = name or self._default
        if wanted == AUTO:
            return self._found()
        runtime = self._pointed_to(Path(wanted).expanduser()) if "/" in wanted else self._ours(wanted)
        if runtime.problem:
            raise RuntimeUnusable(
                f"The runtime {wanted} cannot be used: {runtime.problem}.",
                hint=f"Make it anew with: minisched runtime create {wanted} --replace" if runtime.manifest else None,
            )
        return runtime

    def inspect(self, name: str | None = None) -> tuple[Runtime, Inspection]:
        """Import its workflow modules now, with the directories of `python_path`, and say what does not work."""
        runtime = self.resolve(name)
        return runtime, self._inspect(runtime.python, self._python_path)

    def create(
        self,
        name: str,
        *,
        version: str | None = None,
        extras: Sequence[str] | None = None,
        python: str | None = None,
        replace: bool = False,
        on_progress: OnProgress = lambda _: None,
    ) -> Runtime:
        """Build a runtime and give it this name once it is known to work; until then nothing of that name changes.

        Raises InvalidInput, RuntimeExists, RuntimeBusy, RuntimeBuildFailed. Whatever goes wrong, an interruption
        too, what was built is removed.
        """
        target = self._checked_name(name)
        order = Order(name, version, None if extras is None else tuple(extras), python)
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._exclusively(name) as lock:
            self._make_room(target, replace=replace)
            building = self._beside(name, _BUILDING)
            try:
                build(
                    order,
                    building,
                    inspect=lambda interpreter: self._inspect(interpreter, ()),
                    on_progress=on_progress,
                    pass_fds=(lock,),
                )
                self._put_in_place(building, target)
            except BaseException:
                shutil.rmtree(building, ignore_errors=True)
                raise
        runtime = self._ours(name)
        on_progress(Progress(Phase.DONE, f"{name} is ready", 1.0))
        return runtime

    def remove(self, name: str) -> None:
        """Delete a runtime of ours, working or broken. Raises RuntimeNotFound, RuntimeBusy while it is used."""
        target = self._checked_name(name)
        if not target.is_dir():
            raise self._not_found(name)
        with self._exclusively(name):
            self._require_unused(target)
            former = self._beside(name, _FORMER)
            shutil.rmtree(former, ignore_errors=True)
            # First out of sight at once, then piece by piece: nobody finds half a runtime.
            target.rename(former)
            shutil.rmtree(former)

    def _found(self) -> Runtime:
        ours = [runtime for runtime in self.list() if not runtime.problem]
        if chosen := next((runtime for runtime in ours if runtime.name == DEFAULT_NAME), None):
            return chosen
        if len(ours) == 1:
            return ours[0]
        for python in _interpreters_at_hand():
            with contextlib.suppress(RuntimeUnusable):
                if not (runtime := self._pointed_to(python)).problem:
                    return runtime
        if ours:
            raise RuntimeNotFound(
                f"There are several runtimes ({', '.join(runtime.name for runtime in ours)}), and none is the default.",
                hint="Name one with runtime.default or --runtime.",
            )
        raise RuntimeNotFound("There is no runtime yet that has openmetadata-ingestion.", hint=CREATE_HINT)

    def _ours(self, name: str) -> Runtime:
        directory = self._checked_name(name)
        if not directory.is_dir():
            raise self._not_found(name)
        manifest = read_manifest(directory)
        python = directory / (manifest.interpreter if manifest else INTERPRETER)
        problem = None
        if manifest is None:
            problem = "it has no manifest, so it was not made by `runtime create`"
        elif not python.exists():
            problem = "the Python that it was made with is gone"
        return Runtime(
            name=name,
            python=python,
            version=manifest.version if manifest else None,
            fingerprint=fingerprint_of(directory, manifest),
            manifest=manifest,
            problem=problem,
        )

    def _pointed_to(self, path: Path) -> Runtime:
        """An interpreter, or an environment's directory, that somebody else made."""
        python = path / INTERPRETER if path.is_dir() else path
        if not python.exists():
            raise RuntimeNotFound(f"There is no interpreter at {python}.")
        probe = self._probe(python)
        return Runtime(
            name=str(python),
            python=python.absolute(),
            version=probe.version,
            fingerprint=fingerprint_of(python, probe),
            problem=None if probe.present else "openmetadata-ingestion is not installed there",
        )

    def _checked_name(self, name: str) -> Path:
        if not _NAME.fullmatch(name) or name == AUTO:
            raise InvalidInput(
                f"{name!r} cannot be the name of a runtime.",
                hint="Use up to 64 letters, digits, dots, dashes and underscores, beginning with a letter or digit.",
            )
        return self._directory / name

    def _not_found(self, name: str) -> RuntimeNotFound:
        names = ", ".join(runtime.name for runtime in self.list())
        return RuntimeNotFound(f"There is no runtime {name!r}.", hint=f"There are: {names}." if names else CREATE_HINT)

    def _beside(self, name: str, suffix: str) -> Path:
        return self._directory / f".{name}{suffix}"

    @contextmanager
    def _exclusively(self, name: str) -> Iterator[int]:
        with try_lock(self._beside(name, _LOCK)) as lock:
            if lock is None:
                raise RuntimeBusy(
                    f"The runtime {name!r} is being created or removed by another process.", hint="Wait for it to end."
                )
            yield lock

    def _make_room(self, target: Path, *, replace: bool) -> None:
        """Clear what a killed creation left; refuse to overwrite unless told to."""
        former = self._beside(target.name, _FORMER)
        if former.is_dir() and not target.exists():
            # Killed between the two renames of a replacement.
            former.rename(target)
        for left in (former, self._beside(target.name, _BUILDING)):
            shutil.rmtree(left, ignore_errors=True)
        if target.exists() and not replace:
            raise RuntimeExists(
                f"There is a runtime {target.name!r} already.", hint="Choose another name, or --replace it."
            )
        self._require_unused(target)

    def _put_in_place(self, building: Path, target: Path) -> None:
        former = self._beside(target.name, _FORMER)
        if target.exists():
            self._require_unused(target)
            target.rename(former)
        building.rename(target)
        shutil.rmtree(former, ignore_errors=True)

    def _require_unused(self, target: Path) -> None:
        if pids := self._in_use(target):
            raise RuntimeBusy(
                f"The runtime {target.name!r} is in use by {len(pids)} processes ({', '.join(map(str, pids[:5]))}).",
                hint="Stop the server and its runs first; a launcher without work leaves by itself.",
            )


def _interpreters_at_hand() -> Iterator[Path]:
    """The interpreter that we run on, and the shell's python3."""
    yield Path(sys.executable)
    if found := shutil.which("python3"):
        yield Path(found)
