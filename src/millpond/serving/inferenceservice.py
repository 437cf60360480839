"""KServe's ``InferenceService`` (v1beta1): the part of it that Millpond gives the same meaning.

Field names and nesting are those of KServe's CRD, so that one file serves both targets. A field that
KServe has and Millpond has not yet is refused by its name; a word that neither knows is refused with
"did you mean". What is accepted without an effect on the local target: ``resources``, ``maxReplicas``.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from millpond.model.document import load

API_VERSION = "serving.kserve.io/v1beta1"
DEFAULT_NAMESPACE = "default"
VERSION_ANNOTATION = "serving.millpond.dev/model-version"
RUN_ANNOTATION = "serving.millpond.dev/run-id"

_DNS_1123 = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_SCHEMES = ("models:/", "runs:/", "mlflow-artifacts:/", "s3://", "file://", "/")
# Words that stand beside `predictor` and within it in KServe's CRD, and mean something there.
_LATER: dict[str, tuple[str, ...]] = {
    "spec": ("transformer", "explainer", "canary"),
    "predictor": (
        "affinity", "annotations", "autoScaling", "batcher", "containerConcurrency", "containers",
        "deploymentStrategy", "huggingface", "imagePullSecrets", "initContainers", "labels", "lightgbm",
        "logger", "nodeSelector", "onnx", "paddle", "pmml", "pytorch", "scaleMetric", "scaleMetricType",
        "scaleTarget", "serviceAccountName", "sklearn", "storageUris", "tensorflow", "timeout",
        "tolerations", "triton", "volumes", "workerSpec", "xgboost",
    ),
    "model": (
        "args", "command", "envFrom", "image", "livenessProbe", "name", "ports", "readinessProbe",
        "runtimeVersion", "securityContext", "startupProbe", "storage", "volumeMounts", "workingDir",
    ),
    "env": ("valueFrom",),
}  # fmt: skip


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _refuse_later(part: str) -> Any:
    def check(data: Any) -> Any:
        if isinstance(data, dict):
            for word in _LATER[part]:
                if word in data:
                    raise ValueError(f"{word} is not supported yet")
        return data

    return model_validator(mode="before")(check)


def _text(value: Any) -> Any:
    """Numbers and truth values as YAML wrote them: `"2"` and `2` are the same quantity."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


Text = Annotated[str, BeforeValidator(_text)]


class ModelFormat(_Part):
    """Which framework wrote the model."""

    name: str
    version: Text | None = None

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name != "mlflow":
            raise ValueError(f"the model format {name} is not supported yet, only mlflow is")
        return name


class EnvVar(_Part):
    """One environment variable of the model's process."""

    name: str
    value: Text = ""

    _later = _refuse_later("env")

    @field_validator("name")
    @classmethod
    def _variable(cls, name: str) -> str:
        if not _VARIABLE.match(name):
            raise ValueError(f"{name!r} is not a variable's name")
        return name


class Resources(_Part):
    """What the cluster reserves for the model; one machine's processes share what there is."""

    limits: dict[str, Text] = Field(default_factory=dict)
    requests: dict[str, Text] = Field(default_factory=dict)


class Model(_Part):
    """The model and where it is."""

    modelFormat: ModelFormat  # noqa: N815
    storageUri: str  # noqa: N815
    protocolVersion: Literal["v1", "v2"] | None = None  # noqa: N815
    runtime: Literal["kserve-mlserver", "millpond"] | None = None
    resources: Resources = Field(default_factory=Resources)
    env: tuple[EnvVar, ...] = Field(default=(), strict=False)

    _later = _refuse_later("model")

    @field_validator("protocolVersion", mode="before")
    @classmethod
    def _rest_only(cls, value: Any) -> Any:
        if isinstance(value, str) and value.startswith("grpc-"):
            raise ValueError(f"{value} is not supported yet, v1 and v2 are")
        return value

    @field_validator("storageUri")
    @classmethod
    def _readable(cls, uri: str) -> str:
        if not uri.startswith(_SCHEMES):
            known = ", ".join(_SCHEMES[:-1])
            raise ValueError(f"{uri!r} is not supported; it starts with {known}, or is an absolute path")
        return uri


class Predictor(_Part):
    """The serving part of the deployment."""

    model: Model
    minReplicas: int | None = None  # noqa: N815
    maxReplicas: Annotated[int, Field(ge=0)] | None = None  # noqa: N815
    canaryTrafficPercent: Annotated[int, Field(ge=0, le=100)] | None = None  # noqa: N815

    _later = _refuse_later("predictor")

    @field_validator("minReplicas")
    @classmethod
    def _one(cls, value: int | None) -> int | None:
        if value not in (None, 1):
            raise ValueError(f"minReplicas {value} is not supported yet, 1 is")
        return value

    @field_validator("canaryTrafficPercent")
    @classmethod
    def _all(cls, value: int | None) -> int | None:
        if value not in (None, 100):
            raise ValueError(f"canaryTrafficPercent {value} is not supported yet, 100 is")
        return value


class Spec(_Part):
    """What is wanted."""

    predictor: Predictor

    _later = _refuse_later("spec")


class Metadata(_Part):
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


class InferenceService(_Part):
    """A deployment as a file or an API body."""

    apiVersion: Literal["serving.kserve.io/v1beta1"] = "serving.kserve.io/v1beta1"  # noqa: N815
    kind: Literal["InferenceService"] = "InferenceService"
    metadata: Metadata
    spec: Spec
    status: dict[str, Any] | None = Field(default=None, exclude=True)

    def document(self) -> dict[str, Any]:
        """The deployment as it was written: defaults and what the server sets left out."""
        found = self.model_dump(mode="json", exclude_defaults=True)
        metadata = found["metadata"]
        for key in ("uid", "generation", "resourceVersion", "creationTimestamp"):
            metadata.pop(key, None)
        metadata.setdefault("namespace", self.metadata.namespace)
        return {"apiVersion": self.apiVersion, "kind": self.kind, "metadata": metadata, "spec": found["spec"]}


def read(text: str, source: str) -> InferenceService:
    """The deployment in a YAML or JSON text.

    Raises:
        DocumentError: with file, line and column of what is wrong.
    """
    return load(InferenceService, text, source)
