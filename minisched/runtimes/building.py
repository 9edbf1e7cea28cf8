"""Building an environment with uv: interpreter, packages, bytecode, and a proof that it imports."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version as installed_version
from pathlib import Path

from minisched.domain.errors import RuntimeUnusable
from minisched.runtimes.errors import RuntimeBuildFailed
from minisched.runtimes.inspection import Inspection
from minisched.runtimes.progress import OnProgress, Phase, ProgressReader
from minisched.runtimes.recipe import DEFAULT_EXTRAS, PACKAGE, Recipe, recipe_for
from minisched.runtimes.runtime import INTERPRETER, Manifest
from minisched.runtimes.uv import run_uv, unknown_extras

_OVERRIDES = "overrides.txt"


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody asked for. None means: the default version, the default extras, any interpreter that fits."""

    name: str
    version: str | None = None
    extras: tuple[str, ...] | None = None
    python: str | None = None


def build(
    order: Order,
    directory: Path,
    *,
    inspect: Callable[[Path], Inspection],
    on_progress: OnProgress,
    pass_fds: Iterable[int] = (),
) -> Manifest:
    """Make the environment in `directory`, which must not exist; it may be moved afterwards.

    Raises InvalidInput and RuntimeBuildFailed, and leaves what is there so far to the caller.
    """
    started = time.monotonic()
    recipe = recipe_for(order.version, order.extras)
    reader = ProgressReader(on_progress)
    fds = tuple(pass_fds)
    reader.begin(Phase.PYTHON, "making the environment")
    _make_environment(recipe, order.python, directory, reader, fds)
    reader.begin(Phase.RESOLVE, f"choosing packages for {recipe.requirement}")
    _install(recipe, order.extras, directory, reader, fds)
    reader.begin(Phase.CHECK, "importing the workflow modules")
    inspection = _checked(inspect, directory / INTERPRETER)
    manifest = Manifest(
        name=order.name,
        version=inspection.version or "",
        requirement=recipe.requirement,
        extras=DEFAULT_EXTRAS if order.extras is None else order.extras,
        python_version=inspection.python_version,
        uv_version=installed_version("uv"),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        duration_s=round(time.monotonic() - started, 1),
        import_s=inspection.import_s,
        modules=inspection.modules,
    )
    manifest.write(directory)
    return manifest


def _make_environment(
    recipe: Recipe, python: str | None, directory: Path, reader: ProgressReader, fds: tuple[int, ...]
) -> None:
    # Relocatable, because it is built under another name and then renamed.
    arguments = ["venv", "--relocatable", "--no-project", "--python", python or _interpreter_for(recipe)]
    try:
        run_uv([*arguments, str(directory)], directory=directory.parent, on_line=reader.read, pass_fds=fds)
    except RuntimeBuildFailed as error:
        raise RuntimeBuildFailed(
            f"The environment could not be made. {error.reason}",
            hint=f"{recipe.requirement} needs Python {recipe.python_request}; name an installed one by --python.",
            output=error.output,
        ) from None


def _interpreter_for(recipe: Recipe) -> str:
    """Our own interpreter if it fits: it is there for sure. Else one that uv finds, or fetches."""
    major, minor = sys.version_info[:2]
    ours = Path(sys.base_prefix, "bin", f"python{major}.{minor}")
    return str(ours) if recipe.runs_on((major, minor)) and ours.exists() else recipe.python_request


def _install(
    recipe: Recipe,
    asked_extras: Sequence[str] | None,
    directory: Path,
    reader: ProgressReader,
    fds: tuple[int, ...],
) -> None:
    overrides = directory / _OVERRIDES
    overrides.write_text("\n".join(recipe.overrides) + "\n", encoding="utf-8")
    arguments = ["pip", "install", "--python", str(directory / INTERPRETER), "--compile-bytecode"]
    arguments += ["--override", str(overrides), recipe.requirement, *recipe.additions]
    lines = run_uv(arguments, directory=directory, on_line=reader.read, pass_fds=fds)
    if asked_extras and (unknown := unknown_extras(lines)):
        raise RuntimeBuildFailed(
            f"{PACKAGE} has no extra named {' or '.join(unknown)}.",
            package=PACKAGE,
            hint="Extras are named after connectors, such as postgres, mysql, snowflake or bigquery.",
            output="\n".join(lines),
        )


def _checked(inspect: Callable[[Path], Inspection], python: Path) -> Inspection:
    try:
        inspection = inspect(python)
    except RuntimeUnusable as error:
        raise RuntimeBuildFailed(f"The packages are installed, but do not work. {error.message}") from None
    if problem := inspection.problem:
        raise RuntimeBuildFailed(
            f"{PACKAGE} {inspection.version or ''} is installed, but its workflows cannot be imported: {problem}.",
            package=PACKAGE,
            hint="Try another version or another Python.",
        )
    return inspection
