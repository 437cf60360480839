"""A pipeline for Argo Workflows: a WorkflowTemplate, a CronWorkflow, and what their pods need.

https://argo-workflows.readthedocs.io/en/latest/fields/ and, for the identity of its executor,
https://argo-workflows.readthedocs.io/en/latest/workflow-rbac/
"""

from __future__ import annotations

import json
import re
from typing import Any

from millpond.model.errors import MillpondError
from millpond.pipelines.export import objects
from millpond.pipelines.export.steppod import CLAIM, CODE, RUNS, StepPod
from millpond.pipelines.export.work import Work, text_of

_API = "argoproj.io/v1alpha1"
_FIELD = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9]{0,127}")
"""What Argo takes as the name of a task or a template."""
_REFUSED = "3"
"""The exit code of a step that was refused: another try would change nothing."""


def documents(work: Work, pod: StepPod, claim: str | None = None) -> list[dict[str, Any]]:
    """All objects of a pipeline, in an order to apply them in.

    Args:
        claim: an existing volume for the run records, in place of one that is made.

    Raises:
        MillpondError: two steps would have one name in Argo.
    """
    found = [objects.code(work, pod)]
    if claim is None:
        found.append(objects.claim(pod))
    found += _executor(work, pod)
    found.append(_template(work, pod, claim or CLAIM))
    if work.schedule:
        found.append(_cron(work, pod))
    return found


def _template(work: Work, pod: StepPod, claim: str) -> dict[str, Any]:
    names = _names(work)
    tasks: list[dict[str, Any]] = []
    for step, about in work.steps.items():
        task: dict[str, Any] = {"name": names[step], "template": names[step]}
        if about["needs"]:
            task["dependencies"] = [names[other] for other in about["needs"]]
        tasks.append(task)
    graph = {
        "name": _graph_name(names),
        # As elsewhere: what does not need the step that failed goes on.
        "dag": {"failFast": False, "tasks": tasks},
    }
    patch = {"enableServiceLinks": False}
    spec: dict[str, Any] = {
        "entrypoint": graph["name"],
        "serviceAccountName": pod.account,
        "automountServiceAccountToken": False,
        "executor": {"serviceAccountName": _executor_name(work)},
        "securityContext": pod.security,
        "podMetadata": {"labels": {**pod.labels, objects.PIPELINE: work.name}},
        "podSpecPatch": json.dumps(patch),
        "volumes": [
            *pod.volumes,
            {"name": "pipeline-code", "configMap": {"name": objects.code_name(work)}},
            {"name": "pipeline-runs", "persistentVolumeClaim": {"claimName": claim}},
        ],
        "templates": [graph, *(_step(work, pod, step, names[step]) for step in work.steps)],
    }
    if work.parameters:
        spec["arguments"] = {"parameters": [_parameter(name, one) for name, one in work.parameters.items()]}
    if pod.pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in pod.pull_secrets]
    about = objects.metadata(work, pod, work.name)
    if work.pipeline.summary:
        about["annotations"]["workflows.argoproj.io/description"] = work.pipeline.summary
    return {"apiVersion": _API, "kind": "WorkflowTemplate", "metadata": about, "spec": spec}


def _step(work: Work, pod: StepPod, step: str, name: str) -> dict[str, Any]:
    about = work.steps[step]
    words = work.arguments(
        step, "argo", begun="{{workflow.creationTimestamp.RFC3339}}", key="{{workflow.uid}}"
    )
    for parameter in work.parameters:
        words += ["--parameter", f"{parameter}={{{{workflow.parameters.{parameter}}}}}"]
    found: dict[str, Any] = {"name": name}
    if about["retries"]:
        words += ["--retried", "{{retries}}"]
        strategy: dict[str, Any] = {
            "limit": str(about["retries"]),
            "retryPolicy": "Always",
            "expression": f"lastRetry.exitCode != '{_REFUSED}'",
        }
        if about["retry_delay"]:
            strategy["backoff"] = {"duration": f"{about['retry_delay']:g}s", "factor": "1"}
        found["retryStrategy"] = strategy
    if deadline := work.deadline(step):
        found["activeDeadlineSeconds"] = str(deadline)
    found["container"] = {
        "name": "main",
        "image": pod.image,
        "imagePullPolicy": pod.pull_policy,
        "command": ["python", "-m", "millpond.pipelines.step"],
        "args": words,
        "env": pod.env,
        "volumeMounts": [
            *pod.mounts,
            {"name": "pipeline-code", "mountPath": CODE, "readOnly": True},
            {"name": "pipeline-runs", "mountPath": RUNS},
        ],
        "resources": pod.resources_of(work.pipeline.steps[step]),
        "securityContext": pod.container_security,
    }
    return found


def _parameter(name: str, one: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name}
    if one["default"] is not None:
        found["value"] = text_of(one["default"])
    if one["choices"]:
        found["enum"] = [text_of(choice) for choice in one["choices"]]
    elif one["type"] == "boolean":
        found["enum"] = ["true", "false"]
    if one["help"]:
        found["description"] = one["help"]
    return found


def _cron(work: Work, pod: StepPod) -> dict[str, Any]:
    inner: dict[str, Any] = {"workflowTemplateRef": {"name": work.name}}
    if work.scheduled:
        inner["arguments"] = {
            "parameters": [{"name": name, "value": text_of(value)} for name, value in work.scheduled.items()]
        }
    spec = {"schedules": [work.schedule], "timezone": work.timezone, "workflowSpec": inner}
    about = objects.metadata(work, pod, work.name)
    return {"apiVersion": _API, "kind": "CronWorkflow", "metadata": about, "spec": spec}


def _names(work: Work) -> dict[str, str]:
    """Steps' names as Argo takes them, which knows no underscore."""
    found: dict[str, str] = {}
    for step in work.steps:
        name = step.replace("_", "-")
        if not _FIELD.fullmatch(name):
            raise MillpondError(f"Argo takes no task of the name {step}", hint="at most 128 characters")
        for other, taken in found.items():
            if taken == name:
                raise MillpondError(
                    f"the steps {other} and {step} would both be {name} in Argo", hint="rename one of them"
                )
        found[step] = name
    return found


def _graph_name(names: dict[str, str]) -> str:
    """The template of the whole graph; no step is called so."""
    name = "pipeline"
    while name in names.values():
        name += "-graph"
    return name


# --- what the pods' other container needs ---------------------------------------------------------------


def _executor_name(work: Work) -> str:
    from millpond.targets.kubernetes.render import names

    return names.resource(work.name, "argo")


def _executor(work: Work, pod: StepPod) -> list[dict[str, Any]]:
    """The identity of Argo's container beside a step, which alone may report how it ended.

    The step itself has no token. The Secret has no value here: the cluster puts the token into it.
    """
    name = _executor_name(work)
    about = objects.metadata(work, pod, name)
    token = objects.metadata(work, pod, f"{name}.service-account-token")
    token["annotations"]["kubernetes.io/service-account.name"] = name
    rules = [
        {"apiGroups": ["argoproj.io"], "resources": ["workflowtaskresults"], "verbs": ["create", "patch"]}
    ]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
    subject = {"kind": "ServiceAccount", "name": name, "namespace": pod.namespace}
    rbac = "rbac.authorization.k8s.io/v1"
    found: list[dict[str, Any]] = [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": about,
            "automountServiceAccountToken": False,
        },
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": token,
            "type": "kubernetes.io/service-account-token",
        },
        {"apiVersion": rbac, "kind": "Role", "metadata": about, "rules": rules},
        {
            "apiVersion": rbac,
            "kind": "RoleBinding",
            "metadata": about,
            "roleRef": role,
            "subjects": [subject],
        },
    ]
    if pod.policies:
        # The platform's policies close the pod; where the API server listens only the cluster knows.
        ports = [{"protocol": "TCP", "port": port} for port in (443, 6443)]
        policy = {
            "podSelector": {"matchLabels": {**pod.selector, objects.PIPELINE: work.name}},
            "policyTypes": ["Egress"],
            "egress": [{"ports": ports}],
        }
        found.append(
            {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "NetworkPolicy",
                "metadata": about,
                "spec": policy,
            }
        )
    return found
