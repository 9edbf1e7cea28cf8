"""Questions before something that cannot be undone."""

from __future__ import annotations

import sys

import click


def confirmed(question: str, *, yes: bool) -> bool:
    """Whether to go on: because --yes was given, or because the person says so.

    An answer may be piped in. Raises UsageError, which names --yes, when there is nobody to answer.
    """
    if yes:
        return True
    if sys.stdin is None or sys.stdin.closed:
        raise _nobody_answers(question)
    try:
        return click.confirm(question, err=True)
    except click.Abort as error:
        # click makes one of Ctrl-C and of the end of input.
        if not isinstance(error.__context__, EOFError):
            raise
        click.echo(err=True)
        raise _nobody_answers(question) from None


def _nobody_answers(question: str) -> click.UsageError:
    return click.UsageError(f"Nobody is there to answer: {question} Say --yes to go on without being asked.")
