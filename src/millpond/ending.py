"""How a process ends in which native libraries were at work."""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import suppress
from typing import NoReturn


def end(code: int) -> NoReturn:
    """End this process with `code`, whatever threads a library leaves behind.

    Arrow's pools have threads that may still be on their way when the interpreter is taken down; then C++'s
    runtime kills the process by SIGABRT, though its work is done and told. So what is registered for the end
    is called, what was written is flushed, and nothing is taken down.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
