"""KServe's ``InferenceService`` (v1beta1): the part of it that Millpond gives the same meaning.

Field names and nesting are those of KServe's CRD, so that one file serves both targets. A field that
KServe has and Millpond has not is refused by its name; a word that neither knows is refused with "did you
mean". What KServe has no field for (a mirror, stickiness, an experiment, an automatic rollout) is asked
for by annotations, which the module of that name reads.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from millpond.model.document import load
from millpond.serving.annotations import Intentions
from millpond.serving.part import Part, refusing

API_VERSION = "serving.kserve.io/v1beta1"
DEFAULT_NAMESPACE = "default"
VERSION_ANNOTATION = "serving.millpond.dev/model-version"
RUN_ANNOTATION = "serving.millpond.dev/run-id"
FORMATS = ("mlflow", "sklearn", "xgboost", "lightgbm", "onnx", "pytorch", "keras", "python")

_DNS_1123 = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_CALLABLE = re.compile(r"[A-Za-z_][\w./-]*:[A-Za-z_]\w*\Z")
_SCHEMES = ("models:/", "runs:/", "mlflow-artifacts:/", "s3://", "file://", "/")
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?\Z")
_FACTORS = {"m": 0.001, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
            "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}  # fmt: skip
# Words that stand beside `predictor` and within it in KServe's CRD, and mean something there.
_POD = (
    "activeDeadlineSeconds", "affinity", "annotations", "automountServiceAccountToken", "deploymentStrategy",
    "dnsConfig", "dnsPolicy", "imagePullSecrets", "initContainers", "labels", "nodeName", "nodeSelector",
    "priorityClassName", "runtimeClassName", "schedulerName", "securityContext", "serviceAccountName",
    "storageUris", "tolerations", "topologySpreadConstraints", "volumes",
)  # fmt: skip
_LATER: dict[str, tuple[str, ...]] = {
    "spec": ("canary",),
    "predictor": (
        *_POD, "autoScaling", "containers", "huggingface", "paddle", "pmml", "scaleMetricType",
        "tensorflow", "triton", "workerSpec",
    ),
    "model": (
        "args", "command", "confidential", "envFrom", "lifecycle", "livenessProbe", "name", "ports",
        "readinessProbe", "runtimeVersion", "securityContext", "startupProbe", "storage", "volumeMounts",
        "workingDir",
    ),
    "callable": (
        *_POD, "batcher", "logger", "maxReplicas", "minReplicas", "scaleMetric", "scaleTarget", "timeout",
    ),
    "container": (
        "command", "envFrom", "image", "imagePullPolicy", "lifecycle", "livenessProbe", "ports",
        "readinessProbe", "resources", "securityContext", "startupProbe", "volumeMounts", "workingDir",
    ),
    "logger": (
        "batchInterval", "batchSize", "marshallerUrl", "metadataAnnotations", "metadataHeaders", "storage",
    ),
    "env": ("valueFrom",),
}  # fmt: skip


def _text(value: Any) -> Any:
    """Numbers and truth values as YAML wrote them: `"2"` and `2` are the same quantity."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


Text = Annotated[str, BeforeValidator(_text)]


class ModelFormat(Part):
    """Which framework wrote the model."""

    name: str
    version: Text | None = None

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in FORMATS:
            raise ValueError(f"the model format {name} is not supported; known are {', '.join(FORMATS)}")
        return name


class EnvVar(Part):
    """One environment variable of the model's process."""

    name: str
    value: Text = ""

    _later = refusing(_LATER["env"])

    @field_validator("name")
    @classmethod
    def _variable(cls, name: str) -> str:
        if not _VARIABLE.match(name):
            raise ValueError(f"{name!r} is not a variable's name")
        return name


class Resources(Part):
    """What the model may take.

    On one machine a limit of memory is the size at which its process is replaced; all else is shared.
    """

    limits: dict[str, Text] = Field(default_factory=dict)
    requests: dict[str, Text] = Field(default_factory=dict)

    @field_validator("limits", "requests")
    @classmethod
    def _quantities(cls, found: dict[str, str]) -> dict[str, str]:
        for name, value in found.items():
            if not _QUANTITY.match(value):
                raise ValueError(f"{name}: {value!r} is not a quantity, such as 500m, 2 or 4Gi")
        return found

    @property
    def memory(self) -> int:
        """The limit of memory in bytes; 0 when there is none."""
        return int(quantity(self.limits["memory"])) if "memory" in self.limits else 0


def quantity(text: str) -> float:
    """A Kubernetes quantity as a number.

    >>> quantity("1.5Gi"), quantity("500m"), quantity("2")
    (1610612736.0, 0.5, 2.0)
    """
    match = _QUANTITY.match(text)
    if match is None:
        raise ValueError(f"{text!r} is not a quantity")
    return float(match[1]) * _FACTORS.get(match[2] or "", 1.0)


class Model(Part):
    """The model and where it is.

    ``image`` is what its pods run in place of the platform's own; one machine runs no images.
    """

    modelFormat: ModelFormat  # noqa: N815
    storageUri: str  # noqa: N815
    protocolVersion: Literal["v1", "v2", "grpc-v2"] | None = None  # noqa: N815
    runtime: Literal["kserve-mlserver", "millpond"] | None = None
    image: Annotated[str, Field(pattern=r"^[\w./:@-]+$")] | None = None
    resources: Resources = Field(default_factory=Resources)
    env: tuple[EnvVar, ...] = Field(default=(), strict=False)

    _later = refusing(_LATER["model"])

    @field_validator("protocolVersion", mode="before")
    @classmethod
    def _known_protocol(cls, value: Any) -> Any:
        if value == "grpc-v1":
            raise ValueError("grpc-v1 is not supported; v1, v2 and grpc-v2 are")
        return value

    @field_validator("storageUri")
    @classmethod
    def _readable(cls, uri: str) -> str:
        if not uri.startswith(_SCHEMES):
            known = ", ".join(_SCHEMES[:-1])
            raise ValueError(f"{uri!r} is not supported; it starts with {known}, or is an absolute path")
        return uri


class Logger(Part):
    """Which halves of a prediction are logged, and where else than to the lake they are sent.

    ``url`` takes CloudEvents by HTTP, as KServe's logger sends them; without it only the lake gets them.
    """

    mode: Literal["all", "request", "response"] = "all"
    url: str | None = None

    _later = refusing(_LATER["logger"])

    @field_validator("url")
    @classmethod
    def _http(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("http://", "https://")):
            raise ValueError(f"{url!r} is not an http address; leave it out to log to the lake")
        return url


class Batcher(Part):
    """How requests are put together: rows of a batch, and milliseconds to wait for it to fill."""

    maxBatchSize: Annotated[int, Field(ge=1, le=100_000)] = 32  # noqa: N815
    maxLatency: Annotated[int, Field(ge=0, le=60_000)] = 0  # noqa: N815
    timeout: Annotated[int, Field(ge=1)] | None = None


class Predictor(Part):
    """The serving part of the deployment.

    ``scaleTarget`` is the number of requests at once that one replica is meant to have; ``timeout`` is in
    seconds.
    """

    model: Model
    minReplicas: Annotated[int, Field(ge=0, le=100)] | None = None  # noqa: N815
    maxReplicas: Annotated[int, Field(ge=0, le=100)] | None = None  # noqa: N815
    scaleMetric: Literal["concurrency"] | None = None  # noqa: N815
    scaleTarget: Annotated[int, Field(ge=1)] | None = None  # noqa: N815
    containerConcurrency: Annotated[int, Field(ge=0)] | None = None  # noqa: N815
    canaryTrafficPercent: Annotated[int, Field(ge=0, le=100)] | None = None  # noqa: N815
    logger: Logger | None = None
    batcher: Batcher | None = None
    timeout: Annotated[int, Field(ge=1, le=86_400)] | None = None

    _later = refusing(_LATER["predictor"])

    @model_validator(mode="before")
    @classmethod
    def _framework(cls, data: Any) -> Any:
        """KServe's older form, ``sklearn: {storageUri: …}``, is the same as a model of that format."""
        if not isinstance(data, dict):
            return data
        named = [name for name in FORMATS if name in data]
        if not named:
            return data
        if len(named) > 1 or "model" in data:
            raise ValueError(f"{named[-1]} stands beside another model; a predictor has one")
        rest = {key: value for key, value in data.items() if key != named[0]}
        return {**rest, "model": {**(data[named[0]] or {}), "modelFormat": {"name": named[0]}}}

    @field_validator("scaleMetric", mode="before")
    @classmethod
    def _concurrency(cls, value: Any) -> Any:
        if value in ("cpu", "memory", "rps"):
            raise ValueError(f"scaleMetric {value} is not supported, concurrency is")
        return value

    @model_validator(mode="after")
    def _bounds(self) -> Predictor:
        low, _ = self.replicas
        if self.maxReplicas and self.maxReplicas < low:
            raise ValueError(f"maxReplicas {self.maxReplicas} is less than minReplicas {low}")
        return self

    @property
    def replicas(self) -> tuple[int, int]:
        """The least and the most processes; KServe's 0 for the most means that nothing is said."""
        low = 1 if self.minReplicas is None else self.minReplicas
        return low, max(self.maxReplicas or 1, low)


class Container(Part):
    """Python before or beside the model: its one argument is ``file.py:Name`` in the model's folder."""

    name: str
    args: Annotated[tuple[str, ...], Field(strict=False)]
    env: tuple[EnvVar, ...] = Field(default=(), strict=False)

    _later = refusing(_LATER["container"])

    @field_validator("args")
    @classmethod
    def _callable(cls, args: tuple[str, ...]) -> tuple[str, ...]:
        if len(args) != 1 or not _CALLABLE.match(args[0]):
            raise ValueError(
                "args holds one callable, such as transformer.py:Transformer or package.module:function"
            )
        return args


class Callable(Part):
    """A transformer or an explainer."""

    containers: tuple[Container, ...] = Field(strict=False)

    _later = refusing(_LATER["callable"])

    @field_validator("containers")
    @classmethod
    def _one(cls, containers: tuple[Container, ...]) -> tuple[Container, ...]:
        if len(containers) != 1:
            raise ValueError("containers holds exactly one")
        return containers

    @property
    def target(self) -> str:
        """What to call, ``file.py:Name``."""
        return self.containers[0].args[0]


class Spec(Part):
    """What is wanted."""

    predictor: Predictor
    transformer: Callable | None = None
    explainer: Callable | None = None

    _later = refusing(_LATER["spec"])


class Metadata(Part):
    """The deployment's name; what the server sets is accepted back and has no effect."""

    name: str
    namespace: str = DEFAULT_NAMESPACE
    labels: dict[str, Text] = Field(default_factory=dict)
    annotations: dict[str, Text] = Field(default_factory=dict)
    uid: str | None = None
    generation: int | None = None
    resourceVersion: Text | None = None  # noqa: N815
    creationTimestamp: str | None = None  # noqa: N815

    @field_validator("name", "namespace")
    @classmethod
    def _label(cls, name: str) -> str:
        if len(name) > 63 or not _DNS_1123.match(name):
            raise ValueError(
                f"{name!r} is not a DNS-1123 label: at most 63 lower-case letters, digits and dashes, "
                "with a letter or digit at both ends"
            )
        return name


class ServiceMetadata(Metadata):
    """Metadata whose annotations of Millpond's are known and can be read."""

    @field_validator("annotations")
    @classmethod
    def _understood(cls, annotations: dict[str, str]) -> dict[str, str]:
        Intentions.of(annotations)
        return annotations


class InferenceService(Part):
    """A deployment as a file or an API body."""

    apiVersion: Literal["serving.kserve.io/v1beta1"] = "serving.kserve.io/v1beta1"  # noqa: N815
    kind: Literal["InferenceService"] = "InferenceService"
    metadata: ServiceMetadata
    spec: Spec
    status: dict[str, Any] | None = Field(default=None, exclude=True)

    @model_validator(mode="after")
    def _intended(self) -> InferenceService:
        self.intentions.check(self.spec.predictor.canaryTrafficPercent)
        return self

    @property
    def intentions(self) -> Intentions:
        """What the annotations ask for."""
        return Intentions.of(self.metadata.annotations)

    def document(self) -> dict[str, Any]:
        """The deployment as it was written: defaults and what the server sets left out."""
        found = self.model_dump(mode="json", exclude_defaults=True)
        metadata = found["metadata"]
        for key in ("uid", "generation", "resourceVersion", "creationTimestamp"):
            metadata.pop(key, None)
        metadata.setdefault("namespace", self.metadata.namespace)
        return {"apiVersion": self.apiVersion, "kind": self.kind, "metadata": metadata, "spec": found["spec"]}


def prediction_path(document: Mapping[str, Any]) -> str:
    """Where a step of a graph asks a deployment, by KServe's own rule.

    The document's protocol says it, and where that says none the runtime that KServe would take for the
    model's format: MLServer for MLflow, which speaks V2; V1 otherwise.
    """
    name, model = document["metadata"]["name"], document["spec"]["predictor"]["model"]
    default = "v2" if model["modelFormat"]["name"] == "mlflow" else "v1"
    protocol = model.get("protocolVersion") or default
    return f"/v1/models/{name}:predict" if protocol == "v1" else f"/v2/models/{name}/infer"


def read(text: str, source: str) -> InferenceService:
    """The deployment in a YAML or JSON text.

    Raises:
        DocumentError: with file, line and column of what is wrong.
    """
    return load(InferenceService, text, source)
