"""A server over the stand-in runtime, started as the command line starts one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from minisched.cli.server_process import ServerProcess
from tests.acceptance.server_process import STANDIN, write_standin_runtime
from tests.processes_of_tests import processes_about


@contextmanager
def served_standin(directory: Path) -> Iterator[ServerProcess]:
    """Warm, with the service `shop` in its sandbox; nothing is left of it afterwards."""
    write_standin_runtime(directory / "runtimes")
    variables = {
        "MINISCHED_RUNTIME__DEFAULT": "standin",
        "MINISCHED_RUNTIME__DIRECTORY": str(directory / "runtimes"),
        "MINISCHED_RUNTIME__PYTHON_PATH": str(STANDIN),
        "MINISCHED_EXECUTOR__STOP_GRACE_S": "2",
        "MINISCHED_EXECUTOR__DRAIN": "stop",
        "MINISCHED_LAUNCHER__LINGER_S": "1",
    }
    with ServerProcess(directory / "data", variables) as process:
        process.wait_until_live()
        process.wait_until_warm(60)
        with process.server() as server:
            server.put("/api/v1/services/databaseServices", {"name": "shop", "serviceType": "Mysql"})
        yield process
    assert not processes_about(directory)


def password(process: ServerProcess) -> dict[str, str]:
    """What the command line needs in its environment to be let in."""
    return {"MINISCHED_PASSWORD": (process.data_dir / "admin.password").read_text()}
