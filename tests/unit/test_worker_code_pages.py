"""A launcher lets go of the code that only its imports have run, and works on as before."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import json, os, sys
sys.path.insert(0, {worker!r})
from worker import kernel

def mapped_code_kb():
    total, mode = 0, ""
    with open("/proc/self/smaps") as file:
        for line in file:
            fields = line.split()
            if "-" in fields[0] and not fields[0].endswith(":"):
                mode = fields[1] if len(fields) > 5 else ""
            elif fields[0] == "Rss:" and mode == "r-xp":
                total += int(fields[1])
    return total

import cryptography.x509, sqlalchemy
before = mapped_code_kb()
kernel.let_go_of_code()
after = mapped_code_kb()
pid = os.fork()
if pid == 0:
    from sqlalchemy import create_engine, text
    with create_engine("sqlite://").begin() as connection:
        os._exit(connection.execute(text("SELECT 40 + 2")).scalar())
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print(json.dumps([before, after, code, sorted("cab")]))
"""


def test_less_of_it_is_mapped_and_what_is_needed_comes_back() -> None:
    worker = str(Path(__file__).parents[2] / "minisched")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(worker=worker)], capture_output=True, text=True, check=True, timeout=60
    )
    before, after, code, letters = json.loads(done.stdout)
    assert after < before / 2
    assert (code, letters) == (42, ["a", "b", "c"])
