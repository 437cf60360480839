"""A pod for looking around in a platform's namespace, as restricted as every other."""

from __future__ import annotations

from millpond.model.errors import MillpondError
from millpond.targets.kubernetes.bundle import COMPONENT, MANAGED_BY, MANAGER, PART_OF, Bundle, Object
from millpond.targets.kubernetes.render import names
from millpond.targets.kubernetes.render.pods import container_security, pod_security

_SECONDS = 8 * 3600
"""After which it ends by itself, when nobody deleted it."""


def pod(bundle: Bundle, name: str) -> Object:
    """A pod with the image of the first workload, which sleeps.

    Raises:
        MillpondError: the platform has no image of its own.
    """
    spec = bundle.first_pod
    if spec is None:
        raise MillpondError("the platform has no image of its own to debug with")
    container = spec["containers"][0]
    labels = {
        names.NAME: "debug",
        PART_OF: bundle.platform,
        MANAGED_BY: MANAGER,
        COMPONENT: "debug",
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": bundle.namespace, "labels": labels},
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": _SECONDS,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": pod_security(),
            **({"imagePullSecrets": spec["imagePullSecrets"]} if "imagePullSecrets" in spec else {}),
            "containers": [
                {
                    "name": "debug",
                    "image": container["image"],
                    "imagePullPolicy": container["imagePullPolicy"],
                    "command": ["sleep", str(_SECONDS)],
                    "workingDir": "/tmp",
                    "env": [{"name": "HOME", "value": "/tmp"}],
                    "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
                    "resources": {
                        "requests": {"cpu": "10m", "memory": "32Mi"},
                        "limits": {"cpu": "1", "memory": "512Mi"},
                    },
                    "securityContext": container_security(),
                }
            ],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
        },
    }
