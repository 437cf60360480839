"""A deployment's document, edited: what ``deploy``, ``traffic``, ``promote`` and ``rollback`` stand for.

Pure: documents in, documents out, so that each command can print what it would apply. The words are
KServe's where KServe has them, and the annotations of ``annotations`` where it has not.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from millpond.model.errors import MillpondError
from millpond.serving.annotations import PREFIX, Rollout
from millpond.serving.inferenceservice import API_VERSION, DEFAULT_NAMESPACE

Document = dict[str, Any]

COMPARING = ("rollout", "experiment", "mirror", "canary-header", "sticky")
"""Annotations that speak of two revisions, and mean nothing when one has all the traffic."""

_REVISION = f"{PREFIX}revision"
_TOLD = (f"{PREFIX}model-version", f"{PREFIX}run-id")


def new(name: str, uri: str, model_format: str = "mlflow", namespace: str = DEFAULT_NAMESPACE) -> Document:
    """A deployment of one model with all the traffic."""
    return {
        "apiVersion": API_VERSION,
        "kind": "InferenceService",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"predictor": {"model": {"modelFormat": {"name": model_format}, "storageUri": uri}}},
    }


def plain(found: Mapping[str, Any]) -> Document:
    """What the controller answered, without what it tells: the document as one would write it."""
    document = {key: copy.deepcopy(found[key]) for key in ("apiVersion", "kind", "spec")}
    metadata = {
        key: copy.deepcopy(value)
        for key, value in found["metadata"].items()
        if key in ("name", "namespace", "labels", "annotations")
    }
    annotations = {k: v for k, v in metadata.pop("annotations", {}).items() if k not in _TOLD}
    if annotations:
        metadata["annotations"] = annotations
    return {
        "apiVersion": document["apiVersion"],
        "kind": document["kind"],
        "metadata": metadata,
        "spec": document["spec"],
    }


def with_model(document: Document, uri: str, model_format: str | None = None) -> Document:
    """The document with another model; an older pin to a revision and the old model's image are gone."""
    found = copy.deepcopy(document)
    model = found["spec"]["predictor"]["model"]
    if model["storageUri"] != uri:
        model.pop("image", None)
    model["storageUri"] = uri
    if model_format is not None:
        model["modelFormat"] = {"name": model_format}
    return _annotated(found, revision=None)


def alone(document: Document) -> Document:
    """The newest revision has all the traffic: nothing that speaks of two is left."""
    found = copy.deepcopy(document)
    found["spec"]["predictor"].pop("canaryTrafficPercent", None)
    return _annotated(found, **{name.replace("-", "_"): None for name in COMPARING})


def canary(
    document: Document, percent: int, *, sticky: str | None = None, header: str | None = None
) -> Document:
    """The newest revision beside the one before, with a share of the traffic.

    Args:
        document: as it is.
        percent: the share, 0 to 100.
        sticky: ``cookie`` or ``header:NAME``, by what a client stays with a revision.
        header: ``NAME`` or ``NAME=VALUE``, by which a request asks for the newest revision.
    """
    found = alone(document)
    found["spec"]["predictor"]["canaryTrafficPercent"] = percent
    return _annotated(found, sticky=sticky, canary_header=header)


def shadow(document: Document, percent: int = 100) -> Document:
    """The newest revision gets copies of the requests, and answers nobody."""
    return _annotated(canary(document, 0), mirror=str(percent))


def experiment(document: Document, name: str, percent: int = 50, sticky: str = "cookie") -> Document:
    """Two arms that clients stay with, whose outcomes are compared under a name."""
    return _annotated(canary(document, percent, sticky=sticky), experiment=name)


def rollout(document: Document, plan: Rollout, sticky: str | None = None) -> Document:
    """The newest revision gets the traffic by itself, step by step."""
    return _annotated(canary(document, plan.steps[0], sticky=sticky), rollout=plan.text())


def with_traffic(found: Mapping[str, Any], percent: int) -> Document:
    """Another share for the newest revision; 100 is a promotion.

    Raises:
        MillpondError: there is only one revision.
    """
    _candidate(found)
    if percent == 100:
        return promoted(found)
    document = plain(found)
    document["spec"]["predictor"]["canaryTrafficPercent"] = percent
    # A share that is set by hand is no longer an automatic rollout's.
    return _annotated(document, rollout=None)


def promoted(found: Mapping[str, Any]) -> Document:
    """The newest revision takes all the traffic.

    Raises:
        MillpondError: there is only one revision.
    """
    _candidate(found)
    return alone(plain(found))


def rolled_back(found: Mapping[str, Any], revision: str | None = None) -> Document:
    """The document of an earlier revision: the rolled-out one beside a canary, else the one before it.

    Args:
        found: the deployment as the controller tells it.
        revision: the one to go back to, when it is another.

    Raises:
        MillpondError: there is no such revision.
    """
    status = found.get("status") or {}
    predictor = (status.get("components") or {}).get("predictor") or {}
    kept = {item["name"]: item for item in status.get("revisions", [])}
    name = revision
    if name is None:
        beside = predictor.get("latestReadyRevision") != predictor.get("latestRolledoutRevision")
        name = predictor.get("latestRolledoutRevision" if beside else "previousRolledoutRevision")
    if name is None or name not in kept:
        known = ", ".join(kept) or "none"
        raise MillpondError(
            f"deployment {found['metadata']['name']} has no revision "
            + (f"{name}" if name else "before this one")
            + " to go back to",
            hint=f"kept are {known}",
        )
    target = kept[name]
    document = alone(plain(found))
    traffic = {k: v for k, v in document["spec"]["predictor"].items() if k in _KEPT}
    spec = copy.deepcopy(target["spec"])
    document["spec"] = {**spec, "predictor": {**spec["predictor"], **traffic}}
    # Pinned, because an alias or a folder may mean something else by now.
    document["spec"]["predictor"]["model"]["storageUri"] = target["storageUri"]
    return _annotated(document, revision=name)


_KEPT = ("logger", "maxReplicas", "minReplicas", "scaleMetric", "scaleTarget", "containerConcurrency")


def _candidate(found: Mapping[str, Any]) -> None:
    traffic = ((found.get("status") or {}).get("components") or {}).get("predictor", {}).get("traffic", [])
    if len(traffic) < 2:
        raise MillpondError(
            f"deployment {found['metadata']['name']} has one revision, so there is no traffic to move",
            hint="millpond deploy MODEL --name NAME --canary 10 puts a second one beside it",
        )


def _annotated(document: Document, **annotations: str | None) -> Document:
    """The document with Millpond's annotations set, or removed where None."""
    metadata = document["metadata"]
    found = dict(metadata.pop("annotations", {}))
    for name, value in annotations.items():
        key = PREFIX + name.replace("_", "-")
        if value is None:
            found.pop(key, None)
        else:
            found[key] = value
    if found:
        metadata["annotations"] = found
    return document
