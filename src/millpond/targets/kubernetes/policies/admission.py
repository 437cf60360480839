"""Policies as the API server evaluates them itself: ValidatingAdmissionPolicies and their bindings.

https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/
"""

from __future__ import annotations

import json
from typing import Any

import yaml

from millpond.targets.kubernetes.bundle import Object
from millpond.targets.kubernetes.policies.kinds import NAMESPACED, Kind
from millpond.targets.kubernetes.policies.policy import LIBRARY, WORKLOADS, Policy

API = "admissionregistration.k8s.io/v1"


def policy(policy: Policy, name: str, labels: dict[str, str], values: dict[str, list[str]]) -> Object:
    """The ValidatingAdmissionPolicy of a policy.

    What it is told stands in it as a variable. It could be a ConfigMap that `paramKind` names, but that lies
    in a namespace in which those whom the policy binds may write.
    """
    return {
        "apiVersion": API,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name, "labels": labels, "annotations": {"millpond.dev/policy": policy.title}},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": _rules(policy)},
            # An object on its way out has to shed its finalizers, whatever it is like.
            "matchConditions": [
                {"name": "stays", "expression": "!has(object.metadata.deletionTimestamp)"},
            ],
            "variables": variables(policy, values),
            "validations": [
                {
                    "expression": "variables.violations.size() == 0",
                    "messageExpression": 'variables.violations.join("; ")',
                    "reason": "Invalid",
                }
            ],
        },
    }


def binding(name: str, labels: dict[str, str], namespace: str) -> Object:
    """The binding that lets it hold in one namespace."""
    return {
        "apiVersion": API,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "policyName": name,
            "validationActions": ["Deny"],
            "matchResources": {
                # The API server sets this label on every namespace.
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
            },
        },
    }


def variables(policy: Policy, values: dict[str, list[str]]) -> list[dict[str, str]]:
    """The variables of a policy's CEL, the last of which is the list of its violations."""
    found = [{"name": name, "expression": json.dumps(value)} for name, value in values.items()]
    if set(policy.all_kinds) & set(WORKLOADS):
        library: dict[str, Any] = yaml.safe_load((LIBRARY / "variables.yaml").read_text())
        found += [{"name": name, "expression": expression} for name, expression in library.items()]
    return [*found, {"name": "violations", "expression": policy.cel.strip()}]


def _rules(policy: Policy) -> list[dict[str, Any]]:
    together: dict[tuple[str, str], list[str]] = {}
    for name in policy.all_kinds:
        kind: Kind | None = NAMESPACED.get(name)
        if kind is not None:
            together.setdefault((kind.group, kind.version), []).extend(kind.resources)
    return [
        {
            "apiGroups": [group],
            "apiVersions": [version],
            "operations": ["CREATE", "UPDATE"],
            "resources": resources,
            "scope": "Namespaced",
        }
        for (group, version), resources in together.items()
    ]
