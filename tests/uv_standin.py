"""A stand-in for uv at the border of our process: a program that obeys variables of the environment.

STANDIN_UV_SAYS is a file with what `pip install` prints, STANDIN_UV_CODE its exit code. With STANDIN_UV_HANGS it
starts a child, notes both pids in that file, and waits for a signal.
"""

from __future__ import annotations

import sys
from pathlib import Path

_PROGRAM = """#!{python}
import os, pathlib, subprocess, sys, time
verb, target = sys.argv[1], pathlib.Path(sys.argv[-3])
if verb == "venv":
    (target / "bin").mkdir(parents=True)
    (target / "bin" / "python").symlink_to({python!r})
    print("Using CPython 3.11.7 interpreter at: " + sys.argv[sys.argv.index("--python") + 1])
    sys.exit(0)
note = pathlib.Path(sys.argv[sys.argv.index("--python") + 1]).parent.parent / "arguments.txt"
note.write_text("\\n".join(sys.argv[1:]))
if "STANDIN_UV_SAYS" in os.environ:
    print(pathlib.Path(os.environ["STANDIN_UV_SAYS"]).read_text(), flush=True)
if "STANDIN_UV_HANGS" in os.environ:
    child = subprocess.Popen(["sleep", "600"], close_fds=False)
    pids = pathlib.Path(os.environ["STANDIN_UV_HANGS"])
    pids.with_suffix(".part").write_text(f"{{os.getpid()}} {{child.pid}}")
    pids.with_suffix(".part").rename(pids)
    child.wait()
sys.exit(int(os.environ.get("STANDIN_UV_CODE", "0")))
"""


def write_uv_standin(directory: Path) -> Path:
    """The path of the program."""
    program = directory / "uv"
    program.write_text(_PROGRAM.format(python=sys.executable))
    program.chmod(0o755)
    return program
