"""A stand-in for the controllers of Argo Workflows and Kubeflow Pipelines, neither of which runs here.

It reads what was exported, and runs each step's command as a process of this machine in the order of the
graph, with its retries. What it shows is that the commands, the graph, the parameters and the retries come
to a run; that the documents are what the real controllers take, the schemas show.
"""

from __future__ import annotations

import base64
import os
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from millpond.pipelines.export.steppod import CODE, RUNS

BEGUN = "2026-11-24T05:00:00Z"
REFUSED = 3


@dataclass
class Task:
    """One step as a controller sees it; `words` gives its command for the number of earlier tries."""

    needs: list[str]
    words: Callable[[int], list[str]]
    retries: int = 0


@dataclass
class Ended:
    """How a run ended: each task's tries, and what it wrote."""

    status: dict[str, str] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)


def of_argo(documents: list[dict[str, Any]], given: Mapping[str, str]) -> dict[str, Task]:
    """The tasks of a WorkflowTemplate."""
    spec = next(each for each in documents if each["kind"] == "WorkflowTemplate")["spec"]
    values = {each["name"]: each.get("value") for each in spec.get("arguments", {}).get("parameters", ())}
    values |= given
    templates = {each["name"]: each for each in spec["templates"]}

    def words(container: dict[str, Any], retried: int) -> list[str]:
        known = {
            "workflow.creationTimestamp.RFC3339": BEGUN,
            "workflow.uid": "0f5e-uid",
            "retries": str(retried),
            **{f"workflow.parameters.{name}": value for name, value in values.items()},
        }
        every = [*container["command"], *container["args"]]
        return [re.sub(r"\{\{(.+?)\}\}", lambda found: str(known[found[1]]), word) for word in every]

    tasks = {}
    for task in templates[spec["entrypoint"]]["dag"]["tasks"]:
        template = templates[task["template"]]
        container = template["container"]
        retries = int(template.get("retryStrategy", {}).get("limit", 0))
        tasks[task["name"]] = Task(
            task.get("dependencies", []),
            lambda retried, container=container: words(container, retried),
            retries,
        )
    return tasks


def of_kubeflow(pipeline: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Task]:
    """The tasks of a compiled pipeline."""
    defined = pipeline["root"].get("inputDefinitions", {}).get("parameters", {})
    values = {name: one.get("defaultValue") for name, one in defined.items()} | dict(given)
    known = {"{{$.pipeline_job_create_time_utc}}": BEGUN, "{{$.pipeline_job_uuid}}": "0f5e-uid"}
    tasks = {}
    for name, task in pipeline["root"]["dag"]["tasks"].items():
        component = pipeline["components"][task["componentRef"]["name"]]
        container = pipeline["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
        inputs = {
            key: values[source["componentInputParameter"]]
            if "componentInputParameter" in source
            else known[source["runtimeValue"]["constant"]]
            for key, source in task["inputs"]["parameters"].items()
        }
        assert set(inputs) == set(component["inputDefinitions"]["parameters"])
        words = [
            re.sub(
                r"\{\{\$\.inputs\.parameters\['(.+?)'\]\}\}", lambda found, i=inputs: _text(i[found[1]]), word
            )
            for word in [*container["command"], *container["args"]]
        ]
        retries = task.get("retryPolicy", {}).get("maxRetryCount", 0)
        tasks[name] = Task(task.get("dependentTasks", []), lambda retried, words=words: words, retries)
    return tasks


def _text(value: Any) -> str:
    import json

    return value if isinstance(value, str) else json.dumps(value)


def run(
    tasks: Mapping[str, Task], config_map: dict[str, Any], folder: Path, python: Path, env: Mapping[str, str]
) -> Ended:
    """Run all tasks, the code and the records in folders where a pod has its volumes."""
    code, runs = folder / "code", folder / "runs"
    code.mkdir(exist_ok=True)
    runs.mkdir(exist_ok=True)
    for name, text in config_map["binaryData"].items():
        (code / name).write_bytes(base64.b64decode(text))
    ended = Ended()
    for name in TopologicalSorter({name: task.needs for name, task in tasks.items()}).static_order():
        task = tasks[name]
        if any(ended.status[other] != "Succeeded" for other in task.needs):
            ended.status[name] = "Omitted"
            continue
        for retried in range(task.retries + 1):
            words = [word.replace(CODE, str(code)).replace(RUNS, str(runs)) for word in task.words(retried)]
            assert words[0] == "python"
            done = subprocess.run(
                [str(python), *words[1:]],
                env={"PATH": os.environ["PATH"], **env},
                capture_output=True,
                text=True,
                timeout=60,
            )
            ended.tries[name] = retried + 1
            ended.logs[name] = ended.logs.get(name, "") + done.stdout + done.stderr
            ended.status[name] = "Failed" if done.returncode else "Succeeded"
            if done.returncode in (0, REFUSED):
                break
    return ended
