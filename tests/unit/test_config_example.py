"""Settings, config.example.yaml and the README's table say the same."""

from __future__ import annotations

from pathlib import Path

import yaml

from minisched.settings import Settings, example_yaml, load_settings, settings_table_markdown
from minisched.settings.tree import leaves

ROOT = Path(__file__).parents[2]
BEGIN, END = "<!-- settings:begin -->\n", "<!-- settings:end -->"


def test_the_example_is_the_one_that_the_settings_make() -> None:
    shipped = (ROOT / "config.example.yaml").read_text()

    assert shipped == example_yaml(), "out of date, run: minisched config example > config.example.yaml"


def test_the_example_names_every_setting_and_holds_its_default() -> None:
    environ = {"HOME": str(Path.home())}
    example = load_settings(ROOT / "config.example.yaml", environ)

    assert (
        example.model_dump()
        == load_settings(None, environ | {"MINISCHED_DATA_DIR": str(example.data_dir)}).model_dump()
    )
    assert all(example.origin(leaf.name) != "default" for leaf in leaves())


def test_the_example_is_a_mapping_that_other_programs_can_read() -> None:
    document = yaml.safe_load((ROOT / "config.example.yaml").read_text())

    assert list(document) == list(Settings.model_fields)


def test_the_table_of_the_readme_is_the_one_that_the_settings_make() -> None:
    readme = (ROOT / "README.md").read_text()

    assert readme.count(BEGIN) == readme.count(END) == 1
    table = readme.partition(BEGIN)[2].partition(END)[0]
    assert table == settings_table_markdown(), "out of date, run: minisched config example --format markdown"


def test_every_setting_has_a_description_that_ends_as_a_sentence() -> None:
    assert [leaf.name for leaf in leaves() if not (leaf.field.description or "").endswith(".")] == []


def test_every_duration_and_size_has_its_unit_in_the_name() -> None:
    unitless = {"port", "pool_size", "slots", "nice", "open_files", "spares", "recycle_after_runs", "catchup_runs"}
    numbers = {leaf.path[-1] for leaf in leaves() if type(leaf.default) in (int, float)}

    assert {name for name in numbers - unitless if not name.endswith(("_s", "_mb", "_days"))} == set()
