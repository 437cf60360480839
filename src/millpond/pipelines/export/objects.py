"""The objects that stand beside an exported pipeline: its code, and the volume of the run records."""

from __future__ import annotations

import base64
from typing import Any

from millpond.pipelines.export.steppod import CLAIM, CODE_FILE, StepPod
from millpond.pipelines.export.work import Work

PIPELINE = "millpond.dev/pipeline"
MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "millpond-export"
"""Not what the platform's objects have: `millpond up` prunes by that."""


def code_name(work: Work) -> str:
    """The name of the ConfigMap with this version of the code; what runs keeps the one that it began with."""
    from millpond.targets.kubernetes.render import names

    return names.resource(work.name, "code", work.version[:8])


def code(work: Work, pod: StepPod) -> dict[str, Any]:
    """The ConfigMap with the pipeline's folder."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(work, pod, code_name(work)),
        "immutable": True,
        "binaryData": {CODE_FILE: base64.b64encode(work.code).decode()},
    }


def claim(pod: StepPod, size: str = "10Gi") -> dict[str, Any]:
    """The volume that the steps of a run, on whichever nodes they are, share for its record."""
    spec: dict[str, Any] = {
        "accessModes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": size}},
    }
    if pod.storage_class:
        spec["storageClassName"] = pod.storage_class
    about = {"name": CLAIM, "namespace": pod.namespace, "labels": {MANAGED_BY: MANAGER}}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": about,
        "spec": spec,
    }


def metadata(work: Work, pod: StepPod, name: str) -> dict[str, Any]:
    """Name and labels of an object that belongs to a pipeline."""
    return {
        "name": name,
        "namespace": pod.namespace,
        "labels": {MANAGED_BY: MANAGER, PIPELINE: work.name},
        "annotations": {"millpond.dev/version": work.version},
    }
