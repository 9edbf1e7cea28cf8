"""Types of settings: paths, addresses, numbers, and what a group of settings is."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
)


def default_data_dir(environ: Mapping[str, str] | None = None) -> Path:
    """`$XDG_DATA_HOME/minisched`, or `~/.local/share/minisched`."""
    environ = os.environ if environ is None else environ
    root = environ.get("XDG_DATA_HOME") or "~/.local/share"
    return absolute(Path(root) / "minisched")


def absolute(path: Path) -> Path:
    """With `~` replaced, and relative to the working directory of this moment."""
    return Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 - resolve() would follow links


def lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def split(value: object) -> object:
    """Lists may be written with commas, so that an environment variable can hold one."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("should be a URL such as http://openmetadata:8585")
    if parts.username or parts.password:
        raise ValueError("should hold no user and no password")
    return value.rstrip("/")


LocalPath = Annotated[Path, AfterValidator(absolute)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
LocalPaths = Annotated[tuple[LocalPath, ...], BeforeValidator(split)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Section(BaseModel):
    """A group of settings: frozen, without unknown keys, and silent about values in its errors."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True, str_strip_whitespace=True
    )
