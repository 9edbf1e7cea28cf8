"""config.example.yaml and the table of settings in the README, made from the settings themselves."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

import yaml

from minisched.settings.model import Settings
from minisched.settings.tree import Leaf, leaves, section_of

_WIDTH = 110
_HEADER = """\
# Settings of minisched: every one of them, with its default.
# Keep what you change and delete the rest. Where minisched looks: --config FILE, else $MINISCHED_CONFIG, else
# config.yaml in the data directory. An environment variable wins over this file: server.port is
# MINISCHED_SERVER__PORT. Lists may be written with commas. Relative paths start where this file is.
# What is in effect, and why: minisched config show
"""


def example_yaml() -> str:
    """A settings file with every setting at its default."""
    return _HEADER + "".join(_yaml_blocks())


def _yaml_blocks() -> Iterator[str]:
    by_path = {leaf.path: leaf for leaf in leaves()}
    for name, field in Settings.model_fields.items():
        section = section_of(field)
        if section is None:
            yield "\n" + _yaml_setting(by_path[(name,)])
            continue
        yield f"\n# {section.__doc__}\n{name}:\n"
        yield "".join(textwrap.indent(_yaml_setting(by_path[(name, key)]), "  ") for key in section.model_fields)


def _yaml_setting(leaf: Leaf) -> str:
    comment = textwrap.fill(
        leaf.field.description or "", _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False
    )
    return f"{comment}\n{leaf.path[-1]}: {_yaml_value(leaf.default)}\n"


def _yaml_value(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return yaml.safe_dump(value, default_flow_style=True).removesuffix("\n").removesuffix("\n...")


def settings_table_markdown() -> str:
    """The table of the README: name, environment variable, default, meaning."""
    rows = [
        f"| `{leaf.name}` | `{leaf.env_name}` | `{_yaml_value(leaf.default)}` | {_cell(leaf.field.description or '')} |"
        for leaf in leaves()
    ]
    return "\n".join(["| setting | environment variable | default | meaning |", "|---|---|---|---|", *rows]) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
