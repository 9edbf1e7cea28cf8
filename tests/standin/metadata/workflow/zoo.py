# mypy: ignore-errors
"""Workflows that misbehave in ways that a machine has to survive."""

from __future__ import annotations

import ctypes
import os
import signal
import time


def deaf_child_holds_output(_workflow):
    """The run ends well; a child of its own group keeps its output open and does not hear SIGTERM."""
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _note("child")
        time.sleep(600)
    _wait_for("child")


def deaf_grandchild_in_a_session_of_its_own(workflow):
    """A daemon by the book that ignores SIGTERM, below a run that goes on."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            _note("grandchild")
            time.sleep(600)
        os._exit(0)
    os.wait()
    _wait_for("grandchild")
    _note("main")
    time.sleep(600)


def zombies(_workflow):
    """Grandchildren that have ended and that nobody collects, below a child that ignores SIGTERM."""
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for _ in range(20):
            if os.fork() == 0:
                os._exit(0)
        time.sleep(0.2)
        _note("child")
        time.sleep(600)
    _wait_for("child")
    _note("main")
    time.sleep(600)


def hang_in_c(_workflow):
    """A lock that is never given back: signals do not end the wait, so no handler of Python's ever runs."""
    libc = ctypes.CDLL(None)
    lock = ctypes.create_string_buffer(128)
    libc.pthread_mutex_lock(lock)
    _note("main")
    libc.pthread_mutex_lock(lock)


def hang_in_c_with_the_interpreter(_workflow):
    """As above, and no other thread of Python's runs either."""
    libc = ctypes.PyDLL(None)
    lock = ctypes.create_string_buffer(128)
    libc.pthread_mutex_lock(lock)
    _note("main")
    libc.pthread_mutex_lock(lock)


def big_log(workflow):
    """Numbered lines of 1024 bytes, straight to the descriptor and as fast as it takes them."""
    for number in range(int(workflow.options["lines"]) // 1024):
        block = b"".join(b"%012d " % (number * 1024 + i) + b"x" * 1010 + b"\n" for i in range(1024))
        while block:
            block = block[os.write(1, block) :]
    if workflow.options.get("then_hang"):
        _note("main")
        time.sleep(600)


def close_everything(_workflow):
    os.closerange(0, 4096)


def leave_without_a_result(_workflow):
    os._exit(0)


def leave_with_half_a_result(workflow):
    with open("../result.json", "w") as file:
        file.write('{"run_id": "%s", "stage": "done", "verdict": "succ' % workflow.config["pipelineRunId"])
    os._exit(0)


def die_with_an_unfinished_line(_workflow):
    print("a whole line")
    print("and the beginning of another", end="")
    os.kill(os.getpid(), signal.SIGKILL)


def _note(name):
    with open(name + ".draft", "w") as file:
        file.write(str(os.getpid()))
    os.rename(name + ".draft", name + ".pid")


def _wait_for(name):
    while not os.path.exists(name + ".pid"):
        time.sleep(0.01)
