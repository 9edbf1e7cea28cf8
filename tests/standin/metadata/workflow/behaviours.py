# mypy: ignore-errors
"""What a stand-in workflow does when it is executed, by the name that its configuration gives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from .zoo import *  # noqa: F403


def hang(_workflow):
    note_pid("main")
    while True:
        time.sleep(0.05)


def ignore_term(_workflow):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note_pid("main")
    while True:
        time.sleep(0.05)


def stop_itself(_workflow):
    note_pid("main")
    os.kill(os.getpid(), signal.SIGSTOP)


def escaping_grandchild(workflow):
    """A daemon by the book: double fork with setsid. The workflow itself ends well."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            note_pid("grandchild")
            time.sleep(600)
        os._exit(0)
    os.wait()
    wait_for_note("grandchild")
    if workflow.options.get("then_hang"):
        hang(workflow)


def fork_bomb(_workflow):
    """Bounded: every process forks until there are 60."""
    read_end, write_end = os.pipe()
    os.write(write_end, b"x" * 60)
    os.set_blocking(read_end, False)
    while True:
        try:
            os.read(read_end, 1)
        except BlockingIOError:
            break
        os.fork()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)


def programs(_workflow):
    """Children that were exec'd, in sessions of their own."""
    for name in ("one", "two"):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
        with open(name + ".pid", "w") as file:
            file.write(str(child.pid))
    note_pid("main")
    time.sleep(600)


def shout(_workflow):
    os.write(1, b"x" * 10_000_000 + b"\n" + b"\xff\xfe invalid\n")
    print("after the shout")


def leave_midway(_workflow):
    os._exit(7)


def crash(_workflow):
    os.kill(os.getpid(), signal.SIGSEGV)


def hog(_workflow):
    note_pid("main")
    hoard = []
    while True:
        hoard.append(b"m" * 10_000_000)
        time.sleep(0.01)


def raise_error(workflow):
    raise RuntimeError("it broke with " + workflow.options.get("secret", "nothing"))


def system_exit(_workflow):
    sys.exit(0)


def memory_error(_workflow):
    raise MemoryError


def tell_environment(_workflow):
    print("cwd", os.getcwd())
    print("fds", sorted(int(fd) for fd in os.listdir("/proc/self/fd")))
    print("stdin", os.readlink("/proc/self/fd/0"))
    for name in ("TMPDIR", "GREETING", "TZ", "MINISCHED_RUN_ID"):
        print(name, os.environ.get(name))
    print("timezone", time.tzname[0])
    print("session", os.getsid(0) == os.getpid())
    print("umask", oct(os.umask(0o077)))
    print("nice", os.nice(0))
    with open("/proc/self/oom_score_adj") as file:
        print("oom_score_adj", file.read().strip())


def tell_secret(workflow):
    from . import metadata

    secret = workflow.options["secret"]
    print("printed", secret)
    metadata.logger.info("logged %s \x1b[31mred\x1b[0m", secret)
    sys.stderr.write("raw " + secret + "\n")


def lock_tmp(_workflow):
    os.mkdir("locked")
    open("locked/file", "w").close()
    os.symlink("/etc", "locked/link")
    os.chmod("locked", 0)


def count_slowly(workflow):
    source = workflow.steps[0]
    while not os.path.exists(workflow.options["until"]):
        source.status.records.append("t")
        time.sleep(0.05)


def talk(workflow):
    """So many numbered lines, one every so many seconds."""
    for number in range(workflow.options["lines"]):
        print("line", number)
        time.sleep(workflow.options["every_s"])


def note_pid(name: str) -> None:
    with open(name + ".draft", "w") as file:
        file.write(str(os.getpid()))
    os.rename(name + ".draft", name + ".pid")


def wait_for_note(name: str) -> None:
    while not os.path.exists(name + ".pid"):
        time.sleep(0.01)
