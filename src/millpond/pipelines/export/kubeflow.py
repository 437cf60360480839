"""A pipeline for Kubeflow Pipelines: the compiled form that its API takes, version 2.1 of the specification.

Two documents: the pipeline, and what its pods have beside it on Kubernetes. The objects that these speak of
are applied by themselves, as the specification has no place for them.
https://github.com/kubeflow/pipelines/tree/master/api/v2alpha1 and
https://github.com/kubeflow/pipelines/tree/master/kubernetes_platform
"""

from __future__ import annotations

import math
import re
from typing import Any

from millpond.model.errors import MillpondError
from millpond.pipelines.document import Resources
from millpond.pipelines.export import objects
from millpond.pipelines.export.steppod import CLAIM, CODE, RUNS, StepPod
from millpond.pipelines.export.work import Work

SCHEMA = "2.1.0"
_TYPES = {
    "string": "STRING",
    "date": "STRING",
    "integer": "NUMBER_INTEGER",
    "number": "NUMBER_DOUBLE",
    "boolean": "BOOLEAN",
    "list": "LIST",
}
_RUN = {
    "millpond_begun": "{{$.pipeline_job_create_time_utc}}",
    "millpond_run": "{{$.pipeline_job_uuid}}",
}
"""Inputs of every step: what Kubeflow replaces by the run's time and id, the same in all of them."""


def documents(work: Work, pod: StepPod, claim: str | None = None) -> list[dict[str, Any]]:
    """The pipeline and its platform's part, as ``kfp`` compiles them into one file.

    Raises:
        MillpondError: a step's variable has a secret inside a longer text, which Kubeflow cannot say, or two
            steps would have one name.
    """
    names = _names(work)
    root: dict[str, Any] = {
        "dag": {"tasks": {name: _task(work, names, step) for step, name in names.items()}}
    }
    if work.parameters:
        root["inputDefinitions"] = {
            "parameters": {name: _parameter(one, root=True) for name, one in work.parameters.items()}
        }
    pipeline = {
        "pipelineInfo": {"name": work.name, "description": work.pipeline.summary},
        "schemaVersion": SCHEMA,
        "sdkVersion": "millpond",
        "components": {f"comp-{name}": _component(work, name) for name in names.values()},
        "deploymentSpec": {
            "executors": {f"exec-{name}": _executor(work, pod, step) for step, name in names.items()}
        },
        "root": root,
    }
    executors = {f"exec-{name}": _platform(work, pod, step, claim or CLAIM) for step, name in names.items()}
    return [pipeline, {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}]


def beside(work: Work, pod: StepPod, claim: str | None = None) -> list[dict[str, Any]]:
    """The objects to apply before: the code, and the volume of the run records unless it is there."""
    return [objects.code(work, pod), *([] if claim else [objects.claim(pod)])]


def _component(work: Work, name: str) -> dict[str, Any]:
    inputs = {key: _parameter(one) for key, one in work.parameters.items()}
    inputs |= {key: {"parameterType": "STRING"} for key in _RUN}
    return {"executorLabel": f"exec-{name}", "inputDefinitions": {"parameters": inputs}}


def _parameter(one: dict[str, Any], *, root: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = {"parameterType": _TYPES[one["type"]]}
    if root:
        if one["default"] is not None:
            found |= {"defaultValue": one["default"], "isOptional": True}
        if one["help"]:
            found["description"] = one["help"]
    return found


def _executor(work: Work, pod: StepPod, step: str) -> dict[str, Any]:
    words = work.arguments(step, "kubeflow", begun=_input("millpond_begun"), key=_input("millpond_run"))
    for parameter in work.parameters:
        words += ["--parameter", f"{parameter}={_input(parameter)}"]
    plain = [each for each in pod.env if "value" in each]
    for each in plain:
        if re.search(r"(?<!\$)\$\(", each["value"]):
            raise MillpondError(
                f"the variable {each['name']} has a secret inside a longer text, "
                "which Kubeflow Pipelines cannot say",
                hint="--to argo can",
            )
    container: dict[str, Any] = {
        "image": pod.image,
        "command": ["python", "-m", "millpond.pipelines.step"],
        "args": words,
        # What is no reference comes with `$$` for a dollar, as in a pod.
        "env": [{"name": each["name"], "value": each["value"]} for each in plain],
        "resources": _resources(pod.resources_of(work.pipeline.steps[step])),
    }
    return {"container": container}


def _input(name: str) -> str:
    return f"{{{{$.inputs.parameters['{name}']}}}}"


def _resources(found: dict[str, Any]) -> dict[str, Any]:
    """Requests and limits by Kubeflow's names, which has both numbers, for old backends, and quantities."""
    asked, most = found["requests"], found["limits"]
    return {
        "cpuRequest": _cores(asked["cpu"]),
        "cpuLimit": _cores(most["cpu"]),
        "memoryRequest": _gigabytes(asked["memory"]),
        "memoryLimit": _gigabytes(most["memory"]),
        "resourceCpuRequest": asked["cpu"],
        "resourceCpuLimit": most["cpu"],
        "resourceMemoryRequest": asked["memory"],
        "resourceMemoryLimit": most["memory"],
    }


def _cores(quantity: str) -> float:
    """Processors.

    >>> _cores("250m"), _cores("2")
    (0.25, 2.0)
    """
    return int(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)


def _gigabytes(quantity: str) -> float:
    """Memory in units of 10⁹ bytes."""
    return Resources(memory=quantity).as_dict()["memory"] / 1e9


def _task(work: Work, names: dict[str, str], step: str) -> dict[str, Any]:
    about = work.steps[step]
    inputs: dict[str, Any] = {name: {"componentInputParameter": name} for name in work.parameters}
    inputs |= {name: {"runtimeValue": {"constant": text}} for name, text in _RUN.items()}
    found: dict[str, Any] = {
        "taskInfo": {"name": step},
        "componentRef": {"name": f"comp-{names[step]}"},
        "inputs": {"parameters": inputs},
        # Millpond keeps results itself; an execution that Kubeflow left out would lack its record.
        "cachingOptions": {},
    }
    if about["needs"]:
        found["dependentTasks"] = sorted(names[other] for other in about["needs"])
    if about["retries"]:
        found["retryPolicy"] = {"maxRetryCount": about["retries"]}
        if about["retry_delay"]:
            pause = f"{math.ceil(about['retry_delay'])}s"  # it knows whole seconds
            found["retryPolicy"] |= {
                "backoffDuration": pause,
                "backoffFactor": 1.0,
                "backoffMaxDuration": pause,
            }
    return found


def _platform(work: Work, pod: StepPod, step: str, claim: str) -> dict[str, Any]:
    secrets: dict[str, list[dict[str, str]]] = {}
    for each in pod.env:
        if "valueFrom" in each:
            key = each["valueFrom"]["secretKeyRef"]
            secrets.setdefault(key["name"], []).append({"secretKey": key["key"], "envVar": each["name"]})
    config = objects.code_name(work)
    found: dict[str, Any] = {
        "configMapAsVolume": [
            {
                "configMapName": config,
                "configMapNameParameter": _constant(config),
                "mountPath": CODE,
                "optional": False,
            }
        ],
        "pvcMount": [{"constant": claim, "pvcNameParameter": _constant(claim), "mountPath": RUNS}],
        "secretAsEnv": [
            {"secretName": name, "secretNameParameter": _constant(name), "keyToEnv": keys, "optional": False}
            for name, keys in secrets.items()
        ],
        "emptyDirMounts": [
            {"volumeName": mount["name"], "mountPath": mount["mountPath"]}
            for mount in pod.mounts
            if any(volume["name"] == mount["name"] and "emptyDir" in volume for volume in pod.volumes)
        ],
        "imagePullPolicy": pod.pull_policy,
        "imagePullSecret": [
            {"secretName": name, "secretNameParameter": _constant(name)} for name in pod.pull_secrets
        ],
        "podMetadata": {"labels": {**pod.labels, objects.PIPELINE: work.name}},
        "securityContext": {
            "runAsUser": str(pod.security["runAsUser"]),
            "runAsGroup": str(pod.security["runAsGroup"]),
            "runAsNonRoot": pod.security["runAsNonRoot"],
        },
    }
    if deadline := work.deadline(step):
        found["activeDeadlineSeconds"] = str(deadline)
    return {key: value for key, value in found.items() if value != []}


def _constant(text: str) -> dict[str, Any]:
    return {"runtimeValue": {"constant": text}}


def _names(work: Work) -> dict[str, str]:
    """Steps' names as ``kfp`` makes them: lower case, hyphens for underscores."""
    found: dict[str, str] = {}
    for step in work.steps:
        name = step.replace("_", "-").lower()
        if name in found.values():
            raise MillpondError(
                f"two steps would both be {name} in Kubeflow Pipelines", hint="rename one of them"
            )
        found[step] = name
    for name in work.parameters:
        if name in _RUN:
            raise MillpondError(f"{name} is Millpond's own input in Kubeflow Pipelines", hint="rename it")
    return found
