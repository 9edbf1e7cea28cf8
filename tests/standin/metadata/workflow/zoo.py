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


def eat(workflow):
    """So many megabytes that are really there, and then nothing more."""
    hoard = [os.urandom(1024) * 1024 for _ in range(int(workflow.options["megabytes"]))]
    _note("main")
    time.sleep(600)
    print(len(hoard))


def eat_and_fork(workflow):
    """So many megabytes, shared with three children that do nothing with them."""
    hoard = [os.urandom(1024) * 1024 for _ in range(int(workflow.options["megabytes"]))]
    for _ in range(3):
        if os.fork() == 0:
            time.sleep(600)
    _note("main")
    time.sleep(600)
    print(len(hoard))


def eat_in_children(workflow):
    """So many megabytes in each of three programs."""
    import subprocess
    import sys

    code = "import os, time; h = [os.urandom(1024) * 1024 for _ in range(%d)]; time.sleep(600)"
    for _ in range(3):
        subprocess.Popen([sys.executable, "-c", code % int(workflow.options["megabytes"])])
    _note("main")
    time.sleep(600)


def eat_for_ever(_workflow):
    """As fast as it can, deaf to SIGTERM; bounded, so that a failing limit does not take the machine with it."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    hoard = []
    for _ in range(6000):
        hoard.append(os.urandom(1024) * 1024)
    time.sleep(600)


def eat_at_once(workflow):
    """Waits until it is told to."""
    _note("main")
    while not os.path.exists("now"):
        time.sleep(0.01)
    eat(workflow)


def map_a_large_file(workflow):
    """What is only read from a file belongs to the page cache, which the kernel takes back when it needs it."""
    import mmap

    with open("large", "wb") as file:
        for _ in range(int(workflow.options["megabytes"])):
            file.write(os.urandom(1024) * 1024)
    with open("large", "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as memory:
        total = sum(memory[i] for i in range(0, len(memory), 4096))
        print("sum", total)


def tell_limits(_workflow):
    with open("/proc/self/limits") as file:
        print(file.read())
    print("nice", os.nice(0))


def tell_everything(workflow):
    """Whatever it was given, in every way in which a program tells something."""
    import json
    import logging
    import sys
    from urllib.parse import quote

    whole = json.dumps(workflow.config)
    for text in (whole, json.dumps(workflow.config, ensure_ascii=False), repr(workflow.config), str(dict(os.environ))):
        print(text)
        sys.stderr.write(text + "\n")
        logging.getLogger("metadata.Ingestion").error("config: %s", text)
    for text in _strings(workflow.config):
        print(text, quote(text), quote(text, safe=""))
    if not workflow.options.get("then_hang"):
        _tell_past_the_streams(workflow)
    source = workflow.steps[0]
    source.name = "Source of " + whole
    source.status.records.append(whole)
    source.status.failures.append({"name": whole, "error": whole, "stackTrace": whole})
    _note("told")
    if workflow.options.get("then_hang"):
        time.sleep(600)
    raise RuntimeError("cannot connect with " + whole)


def _tell_past_the_streams(workflow):
    """By the descriptor, by the bytes behind the stream, and by programs that inherit both and the environment."""
    import json
    import subprocess
    import sys

    whole = json.dumps(workflow.config, ensure_ascii=False).encode()
    os.write(1, b"straight: " + whole + b"\n")
    sys.stdout.buffer.write(b"behind: " + whole + b"\n")
    sys.stdout.flush()
    subprocess.run(["/bin/sh", "-c", "echo told by a program: $WAREHOUSE_PASSWORD; cat"], input=whole, check=True)


def _strings(node):
    if isinstance(node, dict):
        for value in node.values():
            yield from _strings(value)
    elif isinstance(node, list):
        for value in node:
            yield from _strings(value)
    elif isinstance(node, str):
        yield node
