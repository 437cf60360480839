"""Asking before something is taken away."""

from __future__ import annotations

import sys

import click


def agreed(question: str, *, unheard: str, hint: str) -> bool:
    """Ask, on standard error.

    Args:
        question: what is asked.
        unheard: the error's sentence where nobody is there to answer.
        hint: how to say yes beforehand.

    Raises:
        UsageError: nobody is there to answer.
    """
    from millpond.model.errors import UsageError

    if not sys.stdin.isatty():
        raise UsageError(unheard, hint=hint)
    return click.confirm(question, err=True)
