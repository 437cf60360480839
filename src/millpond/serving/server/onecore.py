"""Frameworks that would use every core for a row are told to use one.

For a few rows, waking the other threads takes longer than the prediction, and they spin while they wait for
each other: on a machine with anything else to do, a row of gradient-boosted trees was seen to take 190 ms
that way, and 5 ms on one core. ``OMP_NUM_THREADS`` in the environment of the model says otherwise.
"""

from __future__ import annotations

import os
import threading

_thread = threading.local()


def one_core() -> None:
    """Hold OpenMP to one thread, for what this thread calls from now on; the setting is each thread's own."""
    if getattr(_thread, "held", False):
        return
    _thread.held = True
    if os.environ.get("OMP_NUM_THREADS"):
        return
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return
    threadpool_limits(1, user_api="openmp")
