"""The end of a process in which libraries have left threads."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import atexit, sys, threading
from millpond.ending import end
atexit.register(lambda: sys.stdout.write("put away"))
threading.Thread(target=threading.Event().wait).start()
sys.stdout.write("done, ")
end(3)
"""


def test_it_ends_at_once_with_all_that_was_written() -> None:
    found = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=30)
    assert found.returncode == 3
    assert found.stdout == "done, put away"
