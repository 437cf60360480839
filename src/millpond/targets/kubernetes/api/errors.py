"""What an API server refuses, in sentences that name the object and the fix."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from millpond.model.errors import MillpondError

_WHO = re.compile(
    r'User "(?P<who>[^"]*)" cannot (?P<verb>\S+) resource "(?P<what>[^"]*)"'
    r'(?: in API group "(?P<group>[^"]*)")?(?: in the namespace "(?P<where>[^"]*)")?'
)
_MANAGER = re.compile(r'conflicts? with "(?P<manager>[^"]+)"')
_POLICY = re.compile(
    r"ValidatingAdmissionPolicy '(?P<policy>[^']+)' with binding '[^']+' denied request: (?P<why>.*)", re.S
)
_WEBHOOK = re.compile(r'admission webhook "(?P<hook>[^"]+)" denied the request: ?(?P<why>.*)', re.S)
_CALL = re.compile(r'failed calling webhook "(?P<hook>[^"]+)"')
_CRDS = {
    "cert-manager.io": "cert-manager",
    "gateway.networking.k8s.io": "the Gateway API",
    "kafka.strimzi.io": "Strimzi",
    "postgresql.cnpg.io": "CloudNativePG",
    "serving.kserve.io": "KServe",
    "monitoring.coreos.com": "kube-prometheus-stack",
    "templates.gatekeeper.sh": "Gatekeeper",
    "constraints.gatekeeper.sh": "Gatekeeper",
    "networking.istio.io": "Istio",
    "security.istio.io": "Istio",
    "machinelearning.seldon.io": "Seldon Core",
}
"""Who brings the kinds of a group."""


@dataclass(frozen=True)
class FieldConflict:
    """A field that another manager owns."""

    manager: str
    field: str


class ApiError(MillpondError):
    """The API server refused something, or did not answer.

    Args:
        code: the HTTP status; 0 where nothing answered.
        reason: the API's word, such as ``NotFound``; `Unreachable` where nothing answered.
        obj: the object, as a sentence names it.
    """

    def __init__(
        self,
        message: str,
        *,
        code: int,
        reason: str,
        obj: str = "",
        hint: str | None = None,
        details: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message, hint=hint, details=details)
        self.code = code
        self.reason = reason
        self.obj = obj


class Conflict(ApiError):  # noqa: N818 - the API's word
    """Fields that the apply would change belong to others."""

    def __init__(self, obj: str, conflicts: tuple[FieldConflict, ...]) -> None:
        told = ", ".join(f"{found.field} (set by {found.manager})" for found in conflicts)
        super().__init__(
            f"{obj}: others have set {told}",
            code=409,
            reason="Conflict",
            obj=obj,
            hint="take the value into the flavour, or let millpond up bring it back",
        )
        self.conflicts = conflicts


def named(kind: str, name: str | None, namespace: str | None = None) -> str:
    """How a sentence names an object."""
    return " ".join(part for part in (kind, f"{namespace}/{name}" if namespace and name else name) if part)


def unserved(api_version: str, kind: str, others: list[str], obj: str = "") -> ApiError:
    """The cluster knows no such kind."""
    group = api_version.rpartition("/")[0]
    if others:
        told = f"it serves {', '.join(others)}"
        hint = f"{told}; another version of what brings the kind is installed"
    elif group in _CRDS:
        hint = f"install {_CRDS[group]}, which brings it, or name its component in the flavour"
    else:
        hint = "install the chart or the CustomResourceDefinition that brings it, or use a newer cluster"
    return ApiError(
        f"{obj or kind}: the cluster serves no {kind} of {api_version}",
        code=404,
        reason="NotServed",
        obj=obj or kind,
        hint=hint,
    )


def unreachable(server: str, context: str, why: str) -> ApiError:
    """Nothing answers at the cluster's address."""
    return ApiError(
        f"nothing answers at {server}, the cluster of the context {context} ({why})",
        code=0,
        reason="Unreachable",
        hint="start the cluster or the VPN to it, or choose another with --context",
    )


def refused(code: int, status: Mapping[str, Any], verb: str, obj: str, context: str) -> ApiError:
    """The error of a response that is none of success.

    Args:
        code: the HTTP status.
        status: the body, an API Status where it is one.
        verb: what was asked for.
        obj: the object as `named` names it.
        context: the kubeconfig's context.
    """
    reason = str(status.get("reason") or "")
    message = _plain(str(status.get("message") or ""))
    causes = [found for found in (status.get("details") or {}).get("causes") or [] if isinstance(found, dict)]
    if code == 409:
        conflicts = tuple(_conflicts(causes, message))
        if conflicts:
            return Conflict(obj, conflicts)

    def error(text: str, hint: str | None, details: tuple[str, ...] = ()) -> ApiError:
        return ApiError(text, code=code, reason=reason, obj=obj, hint=hint, details=details)

    policy = _POLICY.search(message)
    if policy:
        return error(
            f"{obj}: the policy {policy['policy']} refuses it: {_end(policy['why'])}",
            "mend what the policy names, or let the policy except it",
        )
    hook = _WEBHOOK.search(message)
    if hook:
        return error(
            f"{obj}: the admission webhook {hook['hook']} refuses it: {_end(hook['why'])}",
            "mend what it names, or let its policy except this namespace",
        )
    call = _CALL.search(message)
    if call:
        return error(
            f"{obj}: the admission webhook {call['hook']} does not answer: {_end(message)}",
            "wait until its pods are ready, or remove what is left of it: kubectl get "
            "validatingwebhookconfigurations,mutatingwebhookconfigurations",
        )
    if code == 401:
        return error(
            f"{obj}: the cluster of the context {context} does not know who is asking",
            "sign in again, as the kubeconfig's token or certificate is not valid (any more)",
        )
    if code == 403:
        return _forbidden(error, message, obj, causes)
    if code in (400, 422) or "failed to create typed patch object" in message:
        return _invalid(error, message, obj, causes)
    if code == 404 and verb not in ("get", "delete"):
        return error(f"{obj}: {_end(message) or 'it is not there'}", "apply what it belongs to first")
    if code == 413 or "Too long: must have at most" in message:
        return error(f"{obj}: it is too big for the API server", "keep its files under 1 MB")
    return error(f"{obj}: the API server cannot {verb} it: {_end(message) or f'status {code}'}", None)


def _forbidden(error: Any, message: str, obj: str, causes: list[dict[str, Any]]) -> ApiError:
    who = _WHO.search(message)
    if who:
        where = f"in the namespace {who['where']}" if who["where"] else "in the whole cluster"
        what = f"{who['what']}.{who['group']}" if who["group"] else who["what"]
        found: ApiError = error(
            f"{obj}: {who['who']} may not {who['verb']} {what} {where}",
            f"ask the cluster's administrator for a role that allows {who['verb']} on {what} {where}",
        )
        return found
    if "exceeded quota" in message:
        told = message[message.index("exceeded quota") :]
        quota: ApiError = error(
            f"{obj}: {_end(told)}", "lower resources or replicas in the flavour, or have the quota raised"
        )
        return quota
    if "violates PodSecurity" in message:
        told = message[message.index("violates PodSecurity") :]
        security: ApiError = error(
            f"{obj}: it {_end(told)}", "the namespace wants a stricter pod; mend its spec"
        )
        return security
    if "being terminated" in message:
        ending: ApiError = error(
            f"{obj}: its namespace is being deleted", "wait until it is gone, then run it again"
        )
        return ending
    other: ApiError = error(f"{obj}: it is forbidden: {_end(message)}", None)
    return other


def _invalid(error: Any, message: str, obj: str, causes: list[dict[str, Any]]) -> ApiError:
    # Some messages go on with a difference of whole specs.
    told = tuple(
        f"{found['field']}: {str(found.get('message', '')).partition(chr(10))[0]}"
        for found in causes
        if found.get("field")
    )
    if len(told) == 1:
        text = told[0]
    elif told:
        text = f"{len(told)} fields are not valid"
    else:
        # What stands before is the object's name and version once more.
        text = re.sub(
            r"^.*(?:strict decoding error|failed to create typed patch object \([^)]*\)): ", "", message
        )
    found: ApiError = error(
        f"{obj}: the API server does not take it: {_end(text)}",
        "mend the field in the flavour or the component's file",
        told if len(told) > 1 else (),
    )
    return found


def _conflicts(causes: list[dict[str, Any]], message: str) -> list[FieldConflict]:
    found = []
    for cause in causes:
        if cause.get("reason") != "FieldManagerConflict":
            continue
        manager = _MANAGER.search(str(cause.get("message", "")))
        found.append(
            FieldConflict(
                manager["manager"] if manager else "another", str(cause.get("field", "")).lstrip(".")
            )
        )
    return found


def _plain(text: str) -> str:
    return " ".join(text.split())


def _end(text: str) -> str:
    return text.strip().rstrip(".")
