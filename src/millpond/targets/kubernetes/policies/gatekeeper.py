"""Policies as Gatekeeper takes them: ConstraintTemplates with the Rego, Constraints with what it is told.

Rego v1 needs Gatekeeper 3.19 or newer. https://open-policy-agent.github.io/gatekeeper/website/docs/constrainttemplates
"""

from __future__ import annotations

from typing import Any

from millpond.targets.kubernetes.bundle import Object
from millpond.targets.kubernetes.policies.kinds import NAMESPACED
from millpond.targets.kubernetes.policies.policy import LIBRARY, Policy

TARGET = "admission.k8s.gatekeeper.sh"


def kind(platform: str, name: str) -> str:
    """The kind of a policy's constraints, which carries the platform's name: `LabContainerLimits`."""
    return "".join(word.capitalize() for word in f"{platform}-{name}".replace("_", "-").split("-"))


def template(policy: Policy, kind: str, labels: dict[str, str]) -> Object:
    """The ConstraintTemplate. Its name has to be its kind's in small letters."""
    source: dict[str, Any] = {"version": "v1", "rego": policy.rego}
    if "data.lib.workload" in policy.rego:
        source["libs"] = [(LIBRARY / "workload.rego").read_text()]
    properties = {}
    if policy.parameter:
        properties[policy.parameter.name] = {
            "type": "array",
            "items": {"type": "string"},
            "description": policy.parameter.help,
        }
    return {
        "apiVersion": "templates.gatekeeper.sh/v1",
        "kind": "ConstraintTemplate",
        "metadata": {
            "name": kind.lower(),
            "labels": labels,
            "annotations": {"metadata.gatekeeper.sh/title": policy.title, "description": policy.why},
        },
        "spec": {
            "crd": {
                "spec": {
                    "names": {"kind": kind},
                    "validation": {"openAPIV3Schema": {"type": "object", "properties": properties}},
                }
            },
            "targets": [{"target": TARGET, "code": [{"engine": "Rego", "source": source}]}],
        },
    }


def constraint(
    policy: Policy, kind: str, labels: dict[str, str], namespace: str, values: dict[str, list[str]]
) -> Object:
    """The Constraint that lets it hold in one namespace."""
    together: dict[str, list[str]] = {}
    for name in policy.all_kinds:
        if name in NAMESPACED:
            together.setdefault(NAMESPACED[name].group, []).append(name)
    spec: dict[str, Any] = {
        "enforcementAction": "deny",
        "match": {
            "scope": "Namespaced",
            "namespaces": [namespace],
            "kinds": [{"apiGroups": [group], "kinds": kinds} for group, kinds in together.items()],
        },
    }
    if values:
        spec["parameters"] = values
    return {
        "apiVersion": "constraints.gatekeeper.sh/v1beta1",
        "kind": kind,
        "metadata": {"name": policy.name, "labels": labels},
        "spec": spec,
    }
