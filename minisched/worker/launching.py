"""Becoming the launcher of a runtime: import, make everything cheap to fork, listen, serve."""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import signal
import time
from typing import Callable

from . import guard, kernel, memory, rehearsal, run_groups
from .launcher import Launcher, say
from .listening import listening
from .preload import Preloaded

_REHEARSALS = 10  # fills the interpreter's caches, and lets it specialise the code of a start
_THREADS_END_WITHIN_S = 1.0


def launch(
    socket_path: str, runtime: str, generation: str, spares: int, linger_s: float, preload: Callable[[], Preloaded]
) -> int:
    """Become the launcher of a runtime: import, freeze, listen, serve. Returns the exit code."""
    with contextlib.suppress(OSError):
        os.setsid()
    _set_up_process()
    gc.disable()
    groups = run_groups.found(say)
    preloaded = preload()
    _settle()
    facts = {
        "runtime": runtime,
        "generation": generation,
        "problem": preloaded.problem,
        "version": preloaded.version,
        "import_s": preloaded.import_s,
        "failed_modules": preloaded.failures,
    }
    say("{}: {} in {} s".format(runtime, preloaded.problem or "ready", preloaded.import_s))
    with listening(socket_path) as listener:
        Launcher(listener, facts, preloaded, groups, spares, linger_s).run()
    return 0


def _settle() -> None:
    """Make what every fork inherits as ready and as cheap to copy as it can be, and never look at it again."""
    for _ in range(_REHEARSALS):
        guard.rehearse()
        rehearsal.rehearse()
    _wait_for_threads()
    gc.disable()
    gc.collect()
    gc.freeze()
    kernel.use_huge_pages()
    kernel.let_go_of_code()
    memory.note_inherited()


def _wait_for_threads() -> None:
    """A thread that was joined is known to the kernel a moment longer, and while it is nothing can be forked."""
    deadline = time.monotonic() + _THREADS_END_WITHIN_S
    while not kernel.single_threaded() and time.monotonic() < deadline:
        time.sleep(0.001)


def _set_up_process() -> None:
    kernel.close_all_but({0, 1, 2})
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    kernel.hide_memory()
    kernel.adopt_orphans()
    kernel.name_process("minisched-launcher")
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
