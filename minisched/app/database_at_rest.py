"""The database of the settings, for whoever may read it: no server is asked, and none has to run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from minisched.domain.errors import ConfigurationError
from minisched.settings import Settings
from minisched.store import migrations
from minisched.store.engine import Database, open_database


@contextmanager
def database_at_rest(settings: Settings) -> Iterator[Database]:
    """Raises ConfigurationError when there is none, or none of this version; it is neither made nor upgraded here."""
    url = settings.database_url.get_secret_value()
    absent = settings.database.url is None and not (settings.data_dir / "minisched.db").exists()
    if absent or migrations.current(url) != migrations.head():
        raise ConfigurationError(
            f"{settings.data_dir} has no database of this version.",
            field="data_dir",
            hint="Run this where the server runs, with its settings, after its start or `minisched db upgrade`.",
        )
    with closing(open_database(url, busy_timeout_s=settings.database.busy_timeout_s)) as database:
        yield database
