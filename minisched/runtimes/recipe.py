"""What has to be asked of the package installer so that openmetadata-ingestion of a release line works today.

Found by installing and importing each line: what its own metadata forgets, and what cannot be had everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from minisched.domain.errors import InvalidInput
from minisched.domain.versions import Line

PACKAGE = "openmetadata-ingestion"
DEFAULT_LINE: Line = (2, 0)
# Not pii-processor, which only autoClassification needs: it makes a runtime half as large again (640 to 970 MB).
DEFAULT_EXTRAS = ("postgres", "mysql")

_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.\d+){0,2}((?:a|b|rc|\.dev)\d+)?")
_EXTRA = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")

# Only needed to parse dbt projects, and a source distribution that downloads a binary from outside the package index.
_NO_DBT_PARSER = "dbt-core-experimental-parser; sys_platform == 'never'"
# Releases ask for the certificates of the very day they were made, which an index may not have yet.
_ANY_RECENT_CERTIFICATES = "certifi>=2026.5"
# Old lines import it as `sqllineage`, which later releases do not have any more.
_OLD_PARSER = "collate-sqllineage>=1.0.4,<1.3"
_LAST_LINE_OF_OLD_PARSER: Line = (1, 2)


@dataclass(frozen=True, slots=True)
class Recipe:
    """Requirements and overrides in the syntax of requirements files; Python versions from `oldest` to `newest`."""

    requirement: str
    overrides: tuple[str, ...]
    additions: tuple[str, ...]
    oldest_python: Line
    newest_python: Line

    def runs_on(self, python: Line) -> bool:
        return self.oldest_python <= python <= self.newest_python

    @property
    def python_request(self) -> str:
        """As uv understands it: any interpreter in the range."""
        (low_major, low), (high_major, high) = self.oldest_python, self.newest_python
        return f">={low_major}.{low},<{high_major}.{high + 1}"


def recipe_for(version: str | None, extras: Sequence[str] | None = None) -> Recipe:
    """The recipe of a version (2.0.7.0), of the newest release of a line (2.0) or of a server's version (2.0.7).

    Without a version the newest of the newest line that is known to work; without extras the usual databases.
    Raises InvalidInput.
    """
    chosen = DEFAULT_EXTRAS if extras is None else extras
    for extra in chosen:
        if not _EXTRA.fullmatch(extra):
            raise InvalidInput(f"{extra!r} is not the name of an extra.", hint="Extras look like: postgres,mysql")
    line, specifier = _version_of(version)
    in_brackets = f"[{','.join(dict.fromkeys(chosen))}]" if chosen else ""
    oldest, newest = _pythons(line)
    return Recipe(
        requirement=f"{PACKAGE}{in_brackets}{specifier}",
        overrides=_overrides(line),
        additions=_additions(line),
        oldest_python=oldest,
        newest_python=newest,
    )


def _version_of(version: str | None) -> tuple[Line, str]:
    if version is None:
        major, minor = DEFAULT_LINE
        return DEFAULT_LINE, f">={major}.{minor},<{major}.{minor + 1}"
    found = _VERSION.fullmatch(version.strip().removeprefix("v"))
    if found is None:
        raise InvalidInput(
            f"{version!r} is not a version of {PACKAGE}.",
            hint="Write one like 2.0.7.0, or 2.0 for the newest of a line.",
        )
    text, complete = found.group(0), found.group(0).count(".") >= 3 or found.group(3)
    return (int(found.group(1)), int(found.group(2))), f"=={text}" if complete else f"=={text}.*"


def _overrides(line: Line) -> tuple[str, ...]:
    own = (_OLD_PARSER,) if line <= _LAST_LINE_OF_OLD_PARSER else ()
    return (_NO_DBT_PARSER, _ANY_RECENT_CERTIFICATES, *own)


def _additions(line: Line) -> tuple[str, ...]:
    """Imported by the line, but not among its own requirements."""
    if line <= (1, 6):
        return ("setuptools<81",)  # pkg_resources, which later ones no longer have
    if line <= (1, 8):
        return ("cachetools", "google-cloud-bigquery")  # the latter for data quality and classification
    if line <= (1, 12):
        return ("cachetools",)
    return ()


def _pythons(line: Line) -> tuple[Line, Line]:
    """From what the package allows to the newest for which its pinned dependencies have binary packages."""
    if line >= (1, 13):
        return (3, 10), (3, 13)
    if line >= (1, 7):
        return (3, 9), (3, 12)
    if line >= (1, 3):
        return (3, 8), (3, 11)
    return (3, 8), (3, 10)  # their models have patterns that Python 3.11 refuses
