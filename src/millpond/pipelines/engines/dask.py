"""The embedded engine: the whole graph of a run goes to Dask at once, and Dask runs what can run.

Uses the platform's cluster when ``DASK_SCHEDULER_ADDRESS`` is set, else worker processes of its own. Workers
send what happens over Dask's own event stream; a task's value is its step's `Outcome`, so only references
pass between workers. Environment names of the run's owner travel with the run, through the memory of a
scheduler that listens on this machine only.
"""

from __future__ import annotations

import logging
import os
import queue
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import dask
from dask.utils import parse_timedelta
from distributed import Client, Future, KilledWorker, LocalCluster, get_worker

from millpond.model.errors import MillpondError
from millpond.pipelines.extension import Engine
from millpond.pipelines.journal import Journal
from millpond.pipelines.task import Outcome, Shared, Status, StepTask, Work
from millpond.pipelines.worker import execute

TOPIC = "millpond-steps"
_POLL = 0.5
_CONNECT = 10.0
_LOST = 30.0

Report = Callable[[Mapping[str, Any]], None]


class DaskEngine(Engine):
    """Runs steps on Dask workers.

    Args:
        client: a connected client to use instead of making one.
    """

    def __init__(self, client: Client | None = None) -> None:
        self._client = client

    def execute(self, work: Work, report: Report) -> dict[str, Outcome]:
        """See `Engine.execute`."""
        if self._client is not None:
            return _Execution(self._client, work, report).outcomes()
        with connected() as client:
            return _Execution(client, work, report).outcomes()


@contextmanager
def connected() -> Iterator[Client]:
    """A client of the platform's cluster, or of one that lives as long as the run.

    Raises:
        MillpondError: the platform's cluster cannot be reached or has no workers.
    """
    if address := os.environ.get("DASK_SCHEDULER_ADDRESS"):
        try:
            client = Client(address, timeout=_connect_timeout(), set_as_default=False)
        except (OSError, TimeoutError) as error:
            raise MillpondError(
                f"the Dask scheduler at {address} cannot be reached: {error}",
                hint="millpond status shows whether it runs; millpond restart dask starts it anew",
            ) from None
        with client:
            _wait_for_workers(client, address)
            yield client
        return
    with (
        tempfile.TemporaryDirectory(prefix="millpond-dask-", ignore_cleanup_errors=True) as scratch,
        # The scheduler takes its folder from here, the workers theirs from `local_directory`.
        dask.config.set({"temporary-directory": scratch}),
    ):
        workers = max(2, min(os.cpu_count() or 2, 8))
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            # Without a dashboard Dask still opens a port; by default one that another cluster may have.
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": False},
            local_directory=scratch,
            silence_logs=logging.ERROR,
        )
        with cluster, Client(cluster, set_as_default=False) as client:
            yield client


def _connect_timeout() -> float:
    """Seconds: Dask's own setting where somebody chose one."""
    name = "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT"
    return float(parse_timedelta(os.environ[name])) if os.environ.get(name) else _CONNECT


def _wait_for_workers(client: Client, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=_connect_timeout())
    except TimeoutError:
        raise MillpondError(
            f"the Dask scheduler at {address} has no workers",
            hint="millpond logs dask says why they did not start",
        ) from None


class _Execution:
    """One run on one client."""

    def __init__(self, client: Client, work: Work, report: Report) -> None:
        self.client = client
        self.work = work
        self.report = report
        self.events: queue.SimpleQueue[Mapping[str, Any]] = queue.SimpleQueue()
        self.found: dict[str, Outcome] = {}
        self.futures: dict[str, Future] = {}

    def outcomes(self) -> dict[str, Outcome]:
        """Submit everything, report what comes, and return when each step has its outcome."""
        run = self.work.shared.run
        self.client.subscribe_topic(TOPIC, self._received)
        try:
            self._submit()
            self._follow()
        except KeyboardInterrupt:
            self._cancel()
            raise
        finally:
            with suppress(Exception):
                self.client.unsubscribe_topic(TOPIC)
            for future in self.futures.values():
                future.release()
            self.futures.clear()
        missing = [task.name for task in self.work.tasks if task.name not in self.found]
        assert not missing, f"{run}: no outcome of {missing}"
        return self.found

    def _received(self, event: tuple[float, Any]) -> None:
        message = event[1]
        if isinstance(message, dict) and message.get("run") == self.work.shared.run:
            if message.get("epoch", self.work.shared.epoch) != self.work.shared.epoch:
                return
            self.events.put(message)

    def _submit(self) -> None:
        # Another beginning of the same run has other keys: the scheduler may know the earlier ones still.
        run = f"{self.work.shared.run}-{self.work.shared.epoch}"
        names = {task.name: f"{run}-{task.name}" for task in self.work.tasks}
        graph: dict[str, Any] = {f"{run}-": (_share, self.work.shared)}
        for task in self.work.tasks:
            needed = [names[name] for name in task.needs]
            graph[names[task.name]] = (run_task, task, f"{run}-", needed)
        futures = self.client.get(graph, list(names.values()), sync=False)
        self.futures = dict(zip(names, futures, strict=True))

    def _follow(self) -> None:
        total = len(self.work.tasks)
        lost_since: float | None = None
        while len(self.found) < total:
            try:
                self._take(self.events.get(timeout=_POLL))
                continue
            except queue.Empty:
                self._look()
            if self.client.status == "running":
                lost_since = None
            elif lost_since is None:
                lost_since = time.monotonic()
            elif time.monotonic() - lost_since > _LOST or self.client.status == "closed":
                self._give_up()

    def _take(self, event: Mapping[str, Any]) -> None:
        if event["event"] == "ended":
            self._ended(Outcome.from_json(event["outcome"]))
        elif event["step"] not in self.found:
            self.report(event)

    def _ended(self, outcome: Outcome) -> None:
        if outcome.step not in self.found:
            self.found[outcome.step] = outcome
            self.report({"event": "ended", "step": outcome.step, "outcome": outcome})
            if (outcome.error or {}).get("type") == "Stuck":
                self._skip_after(outcome.step, "cancelled" if outcome.status == "cancelled" else "skipped")

    def _skip_after(self, name: str, status: Status) -> None:
        """What needs a step that never returns would wait for it for ever."""
        for task in self.work.tasks:
            if name in task.needs and task.name not in self.found:
                self.client.cancel([self.futures[task.name]])
                reason = {"type": "Skipped", "message": f"it needs {name}"}
                self._ended(Outcome(task.name, status, error=reason))
                self._skip_after(task.name, status)

    def _look(self) -> None:
        """Steps whose events did not arrive, because a worker died before it sent them or could not."""
        for task in self.work.tasks:
            future = self.futures[task.name]
            if task.name in self.found or not future.done():
                continue
            if future.status == "finished":
                self._ended(future.result(timeout=10))
            elif future.status in ("cancelled", "lost"):
                self._give_up()  # nobody here cancelled it: the scheduler that knew it is gone
                return
            else:
                self._ended(self._broken(task, future))

    def _broken(self, task: StepTask, future: Future) -> Outcome:
        error = future.exception(timeout=10)
        if isinstance(error, KilledWorker):
            if str(error.task) != str(future.key):
                reason = {"type": "Skipped", "message": f"it needs {', '.join(task.needs)}"}
                return Outcome(task.name, "skipped", error=reason)
            message = "worker processes died again and again while the step ran"
            hint = "most often they had too little memory, or native code crashed; see the worker's log"
            return Outcome(
                task.name, "failed", error={"type": "WorkerDied", "message": message, "hint": hint}
            )
        return Outcome(
            task.name,
            "failed",
            error={"type": type(error).__name__, "message": f"Dask could not run it: {error}"},
        )

    def _cancel(self) -> None:
        """Stop what runs, wait a little for it, and call the rest cancelled."""
        Journal(self.work.run_folder).cancel()
        with suppress(Exception):
            idle = [self.futures[task.name] for task in self.work.tasks if task.name not in self.found]
            self.client.cancel(idle, force=True)
        end = time.monotonic() + 8
        with suppress(KeyboardInterrupt, queue.Empty):
            while len(self.found) < len(self.work.tasks) and time.monotonic() < end:
                # Steps that never started send nothing; when it is quiet, all that ran has answered.
                self._take(self.events.get(timeout=2))
        for task in self.work.tasks:
            if task.name not in self.found:
                self._ended(Outcome(task.name, "cancelled"))

    def _give_up(self) -> None:
        """The scheduler is gone, and with it all that it knew; what was done is kept by the record."""
        hint = (
            "run it again: what is done is not done again; millpond logs dask has the scheduler's last words"
        )
        gone = {"type": "EngineLost", "message": "the Dask scheduler went away during the run", "hint": hint}
        for task in self.work.tasks:
            if task.name in self.found:
                continue
            blocked = [
                name for name in task.needs if not self.found[name].good and not self.found[name].left_out
            ]
            if blocked:
                reason = {"type": "Skipped", "message": f"it needs {', '.join(blocked)}"}
                self._ended(Outcome(task.name, "skipped", error=reason))
            else:
                self._ended(Outcome(task.name, "failed", error=gone))


def _share(shared: Shared) -> Shared:
    """A task of its own, so that Dask ships the code once per worker and makes it again if a worker dies."""
    return shared


def run_task(task: StepTask, shared: Shared, needed: Sequence[Outcome]) -> Outcome:
    """The step as a Dask task."""
    worker = get_worker()

    def emit(event: dict[str, Any]) -> None:
        worker.log_event(TOPIC, {**event, "run": shared.run, "epoch": shared.epoch})

    home = Path(worker.local_directory) / "millpond"
    home.mkdir(exist_ok=True)
    upstream = {outcome.step: outcome for outcome in needed}
    return execute(task, shared, upstream, emit, home, expendable=worker.nanny is not None)
