"""The configuration of a minisched process: read once, checked whole, frozen."""

from minisched.settings.data_directory import prepare_data_dir
from minisched.settings.documentation import example_yaml, settings_table_markdown
from minisched.settings.loading import load_settings, settings_file
from minisched.settings.model import Settings
from minisched.settings.tree import SettingValue, missing_files, setting_values

__all__ = [
    "SettingValue",
    "Settings",
    "example_yaml",
    "load_settings",
    "missing_files",
    "prepare_data_dir",
    "setting_values",
    "settings_file",
    "settings_table_markdown",
]
