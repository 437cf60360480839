"""The guardian: ends what a killed supervisor leaves behind.

A process of its own that does nothing but read, on its standard input, which process groups there are:
``+ pid started signal name`` and ``- pid``. When the other end of that pipe is closed, the supervisor is
gone, however it went; then every group that is left gets its stop signal, and SIGKILL three seconds later.
"""

from __future__ import annotations

import signal
import sys

from millpond.targets.local.supervisor.processes import Leader, end_all


def main() -> None:
    """Run until the supervisor is gone; the only argument is the run directory."""
    # Whoever ends a whole family of processes by hand must not end this one before its supervisor.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    leaders: dict[int, Leader] = {}
    for line in sys.stdin:
        sign, _, rest = line.rstrip("\n").partition(" ")
        words = rest.split("\t")
        if sign == "+":
            pid, started, ending, name = words
            leaders[int(pid)] = Leader(name, int(pid), started, int(ending))
        elif sign == "-":
            leaders.pop(int(words[0]), None)
    ended = end_all(leaders.values(), sys.argv[1])
    if ended:
        sys.stderr.write(f"guardian: the supervisor is gone, ended {ended} of its processes\n")


if __name__ == "__main__":
    main()
