"""Jobs: commands that prepare a component or make what an asker requests.

They belong to the command that runs them. One that was killed leaves its job running, which would be in the
way of the next one's: two `initdb` in one folder. So jobs carry a mark by which the next `up` finds them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import replace

from millpond.model.errors import MillpondError
from millpond.targets.local.supervisor import processes
from millpond.targets.local.supervisor.spawn import JobSpec, run_job
from millpond.targets.local.workspace import Workspace

_MARK = ":job"
"""No service can have that name."""

_GRACE = 3.0
_PATIENCE = 6.0


async def run(job: JobSpec, workspace: Workspace) -> None:
    """Run a job to its end.

    Raises:
        MillpondError: it failed; details are its last lines.
    """
    marked = {**job.env, processes.MARK: f"{_MARK}@{workspace.run}"}
    result = await run_job(replace(job, env=marked))
    if not result.ok:
        how = "took too long" if result.timed_out else f"ended with exit code {result.exit_code}"
        raise MillpondError(f"{job.name} {how}", hint=f"the log is {job.log}", details=result.lines[-10:])


def end_leftovers(workspace: Workspace) -> None:
    """End the jobs of a command that was killed; call it only while holding the platform. Blocks.

    Linux alone tells whose processes are; elsewhere there is only the jobs' own care to rely on.

    Raises:
        MillpondError: one of them cannot be ended.
    """
    begun = time.monotonic()
    while left := processes.marked(str(workspace.run), _MARK):
        waited = time.monotonic() - begun
        if waited > _PATIENCE:
            raise MillpondError(
                f"a job of an earlier command does not end (pid {left[0]})", hint="end it, then try again"
            )
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGTERM if waited < _GRACE else signal.SIGKILL)
        time.sleep(0.05)
