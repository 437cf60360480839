"""KServe on the cluster: the document is its own; what KServe does not know is put into its words.

A model of the registry becomes the place of its files in the lake, and the keys to that come by a
ServiceAccount and a Secret as KServe's storage initialiser reads them.
https://kserve.github.io/website/docs/model-serving/storage/providers/s3
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from millpond.model.errors import MillpondError
from millpond.serving.cluster import jobs
from millpond.serving.cluster.context import Context
from millpond.serving.cluster.objects import DEPLOYMENT, PLATFORM, labels
from millpond.serving.inferenceservice import DEFAULT_NAMESPACE, InferenceService
from millpond.targets.kubernetes.api import Cluster
from millpond.targets.kubernetes.bundle import MANAGED_BY, MANAGER, Object

Data = dict[str, Any]

API_VERSION, KIND = "serving.kserve.io/v1beta1", "InferenceService"
GRAPH_VERSION, GRAPH = "serving.kserve.io/v1alpha1", "InferenceGraph"
MODE = "KServe"
ACCOUNT = "millpond-models"
"""The ServiceAccount of model pods, and the Secret with the lake's keys behind it."""

MODEL = "millpond.dev/model"
"""The annotation with the model's URI as the document had it."""

_UNKNOWN = ("python", "keras")
_PROXIED = "mlflow-artifacts:"


def document(service: InferenceService, context: Context, place: str) -> Object:
    """The document as KServe takes it. Pure.

    Args:
        service: the document.
        context: where.
        place: where the model's files are, as KServe can read them.

    Raises:
        MillpondError: KServe has no runtime for the model's format, or cannot read the place.
    """
    name, model_format = service.metadata.name, service.spec.predictor.model.modelFormat.name
    if model_format in _UNKNOWN:
        raise MillpondError(
            f"{name}: KServe has no runtime for the format {model_format}",
            hint="log it as an MLflow model",
        )
    if not place.startswith(("s3://", "gs://", "pvc://", "https://", "http://", "hf://")):
        raise MillpondError(
            f"{name}: KServe cannot read {place}", hint="put the model into the lake and name it as s3://"
        )
    found = copy.deepcopy(service.document())
    metadata = found["metadata"]
    metadata["namespace"] = context.namespace
    metadata["labels"] = {**metadata.get("labels", {}), **labels(context, name)}
    metadata["annotations"] = {
        **metadata.get("annotations", {}),
        MODEL: service.spec.predictor.model.storageUri,
    }
    predictor = found["spec"]["predictor"]
    predictor["serviceAccountName"] = ACCOUNT
    model = predictor["model"]
    model["storageUri"] = place
    if model.get("runtime") == "millpond":
        del model["runtime"]
    if model_format == "mlflow":
        model.setdefault("runtime", "kserve-mlserver")
        model.setdefault("protocolVersion", "v2")
    return found


def place_of(name: str, source: str, artifacts: str | None) -> str:
    """Where the files of a registered model are, from what the registry says. Pure.

    Args:
        name: the deployment.
        source: the registry's word.
        artifacts: where the platform's registry keeps what it hands out itself.

    Raises:
        MillpondError: the registry hands the files out itself, from a place that is not known.
    """
    if not source.startswith(_PROXIED):
        return source
    if artifacts is None:
        raise MillpondError(
            f"{name}: the registry hands the model's files out itself, and KServe cannot ask it",
            hint="name the model by its s3:// path",
        )
    return f"{artifacts.rstrip('/')}/{urlsplit(source).path.lstrip('/')}"


def account(context: Context) -> Object:
    """The ServiceAccount that model pods have, with the Secret of the lake's keys."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": _metadata(context),
        "automountServiceAccountToken": False,
        "secrets": [{"name": ACCOUNT}],
    }


def secret(context: Context, values: Mapping[str, str]) -> Object:
    """The Secret as KServe's storage initialiser reads it.

    Args:
        context: where.
        values: ``AWS_ENDPOINT_URL``, ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``, ``AWS_REGION``.
    """
    address = urlsplit(values.get("AWS_ENDPOINT_URL", ""))
    annotations = {
        "serving.kserve.io/s3-endpoint": address.netloc,
        "serving.kserve.io/s3-usehttps": "1" if address.scheme == "https" else "0",
        "serving.kserve.io/s3-region": values.get("AWS_REGION", ""),
        "serving.kserve.io/s3-usevirtualbucket": "false",
    }
    keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {**_metadata(context), "annotations": {k: v for k, v in annotations.items() if v}},
        "type": "Opaque",
        "data": {key: base64.b64encode(values.get(key, "").encode()).decode() for key in keys},
    }


def _metadata(context: Context) -> dict[str, Any]:
    found = {PLATFORM: context.platform, MANAGED_BY: MANAGER}
    return {"name": ACCOUNT, "namespace": context.namespace, "labels": found}


async def apply(cluster: Cluster, context: Context, service: InferenceService) -> Data:
    """Hand the document to KServe.

    Raises:
        MillpondError: KServe cannot serve it, or refuses it.
    """
    name, place = service.metadata.name, service.spec.predictor.model.storageUri
    if place.startswith("models:/"):
        found = await jobs.resolved(cluster, context, name, place)
        place = place_of(name, found["source"], context.artifacts)
    wanted = document(service, context, place)
    await cluster.apply(secret(context, await _values(cluster, context)), force=True)
    await cluster.apply(account(context), force=True)
    return told(await cluster.apply(wanted))


async def _values(cluster: Cluster, context: Context) -> dict[str, str]:
    """The lake's variables as text, from where the cluster keeps them; they stay in this process.

    Raises:
        MillpondError: the cluster does not keep one.
    """
    found = {}
    for item in context.lake:
        if "value" in item:
            found[str(item["name"])] = str(item["value"])
            continue
        key = item["valueFrom"]["secretKeyRef"]
        kept = await cluster.get("v1", "Secret", key["name"], context.namespace)
        data = (kept or {}).get("data") or {}
        if key["key"] not in data:
            raise MillpondError(
                f"the Secret {key['name']} has no {key['key']}, by which KServe would read the lake",
                hint="is the platform up? millpond up",
            )
        found[str(item["name"])] = base64.b64decode(data[key["key"]]).decode()
    return found


async def get(cluster: Cluster, context: Context, name: str) -> Data | None:
    """One deployment."""
    found = await cluster.get(API_VERSION, KIND, name, context.namespace)
    return None if found is None else told(found)


async def every(cluster: Cluster, context: Context) -> list[Data]:
    """All deployments that were applied here."""
    wanted = {PLATFORM: context.platform, DEPLOYMENT: ""}
    found = await cluster.list(API_VERSION, KIND, namespace=context.namespace, labels=wanted)
    return sorted((told(item) for item in found), key=lambda item: str(item["metadata"]["name"]))


async def delete(cluster: Cluster, context: Context, name: str) -> None:
    """Have KServe end a deployment."""
    found: Object = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": name}}
    found["metadata"]["namespace"] = context.namespace
    await cluster.delete(found)


async def graph(cluster: Cluster, context: Context, name: str) -> Data | None:
    """One graph."""
    found = await cluster.get(GRAPH_VERSION, GRAPH, name, context.namespace)
    return None if found is None else told(found)


async def graphs(cluster: Cluster, context: Context) -> list[Data]:
    """All graphs of the namespace."""
    return [told(item) for item in await cluster.list(GRAPH_VERSION, GRAPH, namespace=context.namespace)]


async def delete_graph(cluster: Cluster, context: Context, name: str) -> None:
    """Have KServe end a graph."""
    where = {"name": name, "namespace": context.namespace}
    found: Object = {"apiVersion": GRAPH_VERSION, "kind": GRAPH, "metadata": where}
    await cluster.delete(found, propagation="Background")


async def apply_graph(cluster: Cluster, context: Context, graph: Data) -> Data:
    """Hand a graph to KServe."""
    return told(await cluster.apply(graph_document(graph, context)))


def graph_document(graph: Data, context: Context) -> Object:
    """A graph as KServe takes it. Pure."""
    found = copy.deepcopy(graph)
    found.pop("status", None)
    metadata = found["metadata"]
    metadata["namespace"] = context.namespace
    metadata["labels"] = {**metadata.get("labels", {}), **labels(context, metadata["name"])}
    return found


def told(found: Mapping[str, Any]) -> Data:
    """KServe's object as the document that it was, with what commands look for in a status."""
    shown = copy.deepcopy(dict(found))
    _restore(shown)
    status = shown.setdefault("status", {})
    status.setdefault("observedGeneration", 0)
    status.setdefault("conditions", [{"type": "Ready", "status": "Unknown"}])
    predictor = status.setdefault("components", {}).setdefault("predictor", {})
    live = [item for item in predictor.get("traffic") or () if item.get("revisionName")]
    if not live and any(c["type"] == "Ready" and c["status"] == "True" for c in status["conditions"]):
        # Without Knative KServe has no revisions.
        name = shown["metadata"]["name"]
        live = [{"revisionName": f"{name}-predictor", "percent": 100, "latestRevision": True}]
    predictor["traffic"] = sorted(live, key=lambda item: not item.get("latestRevision"))
    status["deploymentMode"] = MODE
    status.setdefault("revisions", [])
    return shown


def _restore(shown: Data) -> None:
    """Take out again what was put in for KServe, so that an edit of it is one of the document."""
    metadata = shown["metadata"]
    metadata.pop("managedFields", None)
    metadata["namespace"] = DEFAULT_NAMESPACE
    own = (PLATFORM, MANAGED_BY, DEPLOYMENT)
    metadata["labels"] = {k: v for k, v in metadata.get("labels", {}).items() if k not in own}
    if not metadata["labels"]:
        del metadata["labels"]
    uri = metadata.get("annotations", {}).pop(MODEL, None)
    predictor = shown.get("spec", {}).get("predictor", {})
    if predictor.get("serviceAccountName") == ACCOUNT:
        del predictor["serviceAccountName"]
    if uri is not None:
        predictor["model"]["storageUri"] = uri
