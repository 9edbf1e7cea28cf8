"""`python -m minisched` is the command `minisched`: the console script begins here, too.

Ctrl-C while the command line is still being imported, or has ended, ends the process without a word: there is
nothing to stop. So that this begins early, this module imports next to nothing.
"""

from __future__ import annotations

import os
import signal

_INTERRUPTED = 130


def main() -> None:
    """Import the command line and run it."""
    # Whoever ignores Ctrl-C, as shells let their background jobs do, goes on doing so.
    interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if interruptible:
        signal.signal(signal.SIGINT, _leave)
    from minisched.cli import command_line

    try:
        if interruptible:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        command_line.main()
    except KeyboardInterrupt:
        raise SystemExit(_INTERRUPTED) from None
    finally:
        if interruptible:
            signal.signal(signal.SIGINT, _leave)


def _leave(*_: object) -> None:
    """At once: an exception in the middle of an import would be told as a traceback, or lost."""
    os._exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
