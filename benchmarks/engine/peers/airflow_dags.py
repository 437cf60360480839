"""The graphs of `overhead.py` as Airflow DAGs; a file of its folder of DAGs."""

from __future__ import annotations

import datetime
import os

from airflow.sdk import DAG, task

COUNT = int(os.environ["BENCHMARK_STEPS"])


@task
def nothing(value: int = 0) -> int:
    """A no-op step."""
    return value + 1


for name, count in (("single", 1), ("chain", COUNT), ("fan", COUNT)):
    with DAG(name, schedule=None, start_date=datetime.datetime(2026, 1, 1), max_active_tasks=1000) as made:
        before = None
        for number in range(count):
            now = nothing.override(task_id=f"s{number}")(
                before if before is not None and name == "chain" else number
            )
            before = now
    globals()[name] = made
