"""A Job that makes the platform's secrets inside the cluster, for trees that others apply.

`millpond up` makes secrets itself. Where kubectl, Argo CD or Flux apply the rendered tree nobody would, and a
secret has no place in a tree. So the tree has a Job that makes what is missing, keeps what is there, and
knows no value beforehand. It alone has a token, for an hour, that may make Secrets of this namespace and
nothing else.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from millpond.model.value import Elsewhere, Filtered, Secret, Value
from millpond.targets.kubernetes.bundle import (
    COMPONENT,
    MANAGED_BY,
    MANAGER,
    PART_OF,
    PLATFORM,
    Bundle,
    Object,
)
from millpond.targets.kubernetes.render import names
from millpond.targets.kubernetes.render.pods import container_security, pod_security

NAME = "secrets"
_MOUNT = "/var/run/secrets/millpond"


def wanted(bundle: Bundle) -> list[dict[str, Any]]:
    """What the Job makes: each Secret with its labels, and for each key its parts, texts or other keys.

    Secrets of the user's own are left out, the Job cannot know them.
    """
    where = {
        _atom(value): (secret.name, key) for secret in bundle.secrets for key, value in secret.texts.items()
    }
    found = []
    for secret in bundle.secrets:
        keys: dict[str, Any] = {}
        for key, value in secret.texts.items():
            if any(isinstance(atom, Elsewhere) for atom in value.atoms()):
                continue
            if isinstance(_atom(value), Secret):
                keys[key] = {"length": secret.lengths[key]}
            else:
                keys[key] = {"parts": [_part(part, where) for part in value.parts]}
        if keys:
            labels = {PART_OF: bundle.platform, MANAGED_BY: MANAGER, COMPONENT: secret.unit}
            found.append({"name": secret.name, "labels": labels, "keys": keys})
    return found


def external(bundle: Bundle) -> dict[str, list[str]]:
    """The Secrets that the user has to make, with their keys."""
    found: dict[str, list[str]] = {}
    for secret in bundle.secrets:
        for key, value in secret.texts.items():
            if any(isinstance(atom, Elsewhere) for atom in value.atoms()):
                found.setdefault(secret.name, []).append(key)
    return found


def objects(bundle: Bundle) -> list[Object]:
    """The Job and what it needs; nothing where there is nothing to make."""
    asked = wanted(bundle)
    pod = bundle.first_pod
    if not asked or pod is None:
        return []
    labels = {
        names.NAME: "millpond",
        names.INSTANCE: NAME,
        PART_OF: bundle.platform,
        MANAGED_BY: MANAGER,
        COMPONENT: PLATFORM,
    }

    def made(api: str, kind: str, name: str = NAME, **body: Any) -> Object:
        metadata = {"name": name, "namespace": bundle.namespace, "labels": dict(labels)}
        return {"apiVersion": api, "kind": kind, "metadata": metadata, **body}

    rbac = "rbac.authorization.k8s.io"
    rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "create", "patch"]}
    script = (files("millpond.targets.kubernetes.render") / "make_secrets.txt").read_text()
    data = {"make_secrets.py": script, "wanted.json": json.dumps(asked, indent=1, sort_keys=True)}
    template = _template(pod, labels)
    job = f"{NAME}-{names.digest([data, template])[:8]}"
    return [
        made("v1", "ServiceAccount", automountServiceAccountToken=False),
        made(f"{rbac}/v1", "Role", rules=[rule]),
        made(
            f"{rbac}/v1",
            "RoleBinding",
            roleRef={"apiGroup": rbac, "kind": "Role", "name": NAME},
            subjects=[{"kind": "ServiceAccount", "name": NAME, "namespace": bundle.namespace}],
        ),
        made(
            "networking.k8s.io/v1",
            "NetworkPolicy",
            spec={
                "podSelector": {"matchLabels": {names.INSTANCE: NAME, PART_OF: bundle.platform}},
                "policyTypes": ["Egress"],
                # The API server's address is not known beforehand.
                "egress": [
                    {"ports": [{"protocol": "TCP", "port": port} for port in (443, 6443, 8443, 16443)]}
                ],
            },
        ),
        made("v1", "ConfigMap", data=data),
        made("batch/v1", "Job", job, spec={"backoffLimit": 10, "template": template}),
    ]


def _template(pod: Object, labels: dict[str, str]) -> dict[str, Any]:
    token = {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}}
    authority = {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}
    container = {
        "name": NAME,
        "image": pod["containers"][0]["image"],
        "imagePullPolicy": pod["containers"][0]["imagePullPolicy"],
        "command": ["python3", "/scripts/make_secrets.py", "/scripts/wanted.json", _MOUNT],
        "env": [{"name": "NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}}],
        "volumeMounts": [
            {"name": "scripts", "mountPath": "/scripts", "readOnly": True},
            {"name": "token", "mountPath": _MOUNT, "readOnly": True},
        ],
        "resources": {
            "requests": {"cpu": "10m", "memory": "32Mi"},
            "limits": {"cpu": "1", "memory": "128Mi"},
        },
        "securityContext": container_security(),
    }
    spec = {
        "serviceAccountName": NAME,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "OnFailure",
        "securityContext": pod_security(),
        "containers": [container],
        "volumes": [
            {"name": "scripts", "configMap": {"name": NAME, "defaultMode": 0o444}},
            {"name": "token", "projected": {"defaultMode": 0o440, "sources": [token, authority]}},
        ],
        **({"imagePullSecrets": pod["imagePullSecrets"]} if "imagePullSecrets" in pod else {}),
    }
    return {"metadata": {"labels": dict(labels)}, "spec": spec}


def _atom(value: Value) -> object:
    return value.parts[0] if len(value.parts) == 1 else None


def _part(part: object, where: dict[object, tuple[str, str]]) -> dict[str, str]:
    if isinstance(part, Filtered):
        # Made secrets need no quoting.
        return _part(_atom(part.value), where)
    if isinstance(part, str):
        return {"text": part}
    secret, key = where[part]
    return {"secret": secret, "key": key}
