"""What notes the predictions of a model pod, and carries them to the lake: a container beside the server.

It is a sidecar of the kubelet's own kind (an init container that goes on), so that it ends after the server
and brings what that noted last. https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/
"""

from __future__ import annotations

from typing import Any

from millpond.serving.cluster.context import Context
from millpond.serving.controller.store import Record
from millpond.serving.inferenceservice import InferenceService, Logger

CONTAINER = "log"
GRACE_SECONDS = 15
_DATA = "/var/lib/millpond"
MOUNT = {"name": CONTAINER, "mountPath": _DATA}
VOLUME = {"name": CONTAINER, "emptyDir": {"sizeLimit": "2Gi"}}


def logger(record: Record) -> Logger | None:
    """What is to be noted of a deployment; None for nothing."""
    clean = {key: value for key, value in record.document.items() if key != "status"}
    return InferenceService.model_validate(clean).spec.predictor.logger


def folder(record: Record) -> str:
    """Where the server notes."""
    return f"{_DATA}/predictions/{record.name}"


def carrier(context: Context, record: Record, asked: Logger) -> dict[str, Any]:
    """The container that says what is noted, and carries it away."""
    sample = record.intentions.sample
    return {
        "name": CONTAINER,
        "restartPolicy": "Always",
        "command": [
            *("python", "-m", "millpond.serving.monitor.carrier", "--data", _DATA),
            *("--deployment", record.name, "--namespace", record.namespace),
            *("--mode", asked.mode, "--sample", f"{sample:g}", "--grace", str(GRACE_SECONDS)),
        ],
        "env": [{"name": "HOME", "value": "/tmp"}, *(dict(item) for item in context.log)],
        "resources": {
            "requests": {"cpu": "50m", "memory": "192Mi"},
            "limits": {"cpu": "1", "memory": "512Mi"},
        },
    }
