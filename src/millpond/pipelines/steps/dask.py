"""A step whose function spreads its own work over Dask: it gets a client of the cluster that it runs on."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from millpond.pipelines.extension import StepCall
from millpond.pipelines.steps.python import PythonStep, call_function, load


class DaskStep(PythonStep):
    """Calls a function as the kind ``python`` does; its argument ``client`` is a ``distributed.Client``."""

    given = ("client",)

    def run(self, call: StepCall) -> Mapping[str, Any]:
        """Connect, call, and sort the return value into the ports."""
        function = load(call.keys, call.code)
        with _by_value(f"{call.code}{os.sep}"), _client() as client:
            found: Mapping[str, Any] = call_function(function, call, client=client)
            return found


@contextmanager
def _by_value(code: str) -> Iterator[None]:
    """Let the pipeline's functions and classes travel to workers, none of which has its folder by itself.

    What belongs to ``__main__`` is pickled by value, as that of a notebook is.
    """
    moved = []
    for name, module in list(sys.modules.items()):
        if not str(getattr(module, "__file__", None) or "").startswith(code):
            continue
        for item in vars(module).values():
            if (inspect.isfunction(item) or inspect.isclass(item)) and item.__module__ == name:
                moved.append((item, name))
    try:
        for item, _ in moved:
            item.__module__ = "__main__"
        yield
    finally:
        for item, name in moved:
            item.__module__ = name


@contextmanager
def _client() -> Iterator[Any]:
    """A client of the cluster; the step's own place on its worker is free for its tasks meanwhile."""
    from distributed import Client, LocalCluster, worker_client
    from distributed.worker import get_worker

    try:
        get_worker()
    except ValueError:
        pass
    else:
        with worker_client() as client:
            yield client
        return
    if address := os.environ.get("DASK_SCHEDULER_ADDRESS"):
        with Client(address, set_as_default=False) as client:
            yield client
        return
    with (
        LocalCluster(host="127.0.0.1", dashboard_address=None, threads_per_worker=1) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client
