"""The two verbs of the worker: `launcher` serves runs of a runtime, `inspect` says what the runtime can do."""

from __future__ import annotations

import argparse
import json
import sys
from typing import List, Optional

from . import launching, preload


def main(arguments: Optional[List[str]] = None) -> int:
    options = _parser().parse_args(arguments)
    for entry in reversed(options.path):
        sys.path.insert(0, entry)
    if options.verb == "inspect":
        return _inspect()
    return launching.launch(
        socket_path=options.socket,
        runtime=options.runtime,
        generation=options.generation,
        spares=options.spares,
        linger_s=options.linger_s,
        preload=lambda: preload.preload(options.preload.split(",") if options.preload else []),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="minisched worker", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    serve = verbs.add_parser("launcher", help="import the workflow modules once, then fork a process per run")
    serve.add_argument("--socket", required=True, metavar="PATH")
    serve.add_argument("--runtime", required=True, metavar="NAME")
    serve.add_argument("--generation", required=True, metavar="HEX")
    serve.add_argument("--spares", type=int, default=2, metavar="N")
    serve.add_argument("--linger-s", type=float, default=60.0, metavar="SECONDS")
    serve.add_argument("--preload", default="", metavar="MODULE,MODULE", help="also import these")
    inspect = verbs.add_parser("inspect", help="print as JSON which workflow modules can be imported")
    for verb in (serve, inspect):
        verb.add_argument("--path", action="append", default=[], metavar="DIR", help="prepend to sys.path")
    return parser


def _inspect() -> int:
    found = preload.inspect()
    print(json.dumps(found))
    return 0
