"""Seldon Core's ``SeldonDeployment`` read, and said again in KServe's documents.

The shape is that of OpenMLOps' tutorial: predictors with a pre-packaged server, ``modelUri``, ``traffic`` or
``shadow``. What comes out is a list of documents to apply in order, each when the one before is ready: an
``InferenceService`` for each model; its second revision with ``canaryTrafficPercent`` where there are two
predictors; an ``InferenceGraph`` where a predictor's graph has children. What has no counterpart is refused
with its place. Read without an effect, as Millpond has its own: probes, ``engineResources``, ``svcOrchSpec``,
service accounts and the names of secrets, images of Seldon's own servers.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from millpond.model import document as documents
from millpond.model.document import Document
from millpond.serving.inferencegraph import API_VERSION as GRAPH_VERSION
from millpond.serving.inferenceservice import API_VERSION, EnvVar, Metadata, Resources, Text
from millpond.serving.part import Part, refusing

MIRROR_ANNOTATION = "serving.millpond.dev/mirror"

_FORMATS = {"MLFLOW_SERVER": "mlflow", "SKLEARN_SERVER": "sklearn", "XGBOOST_SERVER": "xgboost"}
_PROTOCOLS = {"v2": "v2", "kfserving": "v2", "tensorflow": "v1"}
_SCHEMES = ("s3://", "models:/", "runs:/", "mlflow-artifacts:/", "file://", "/")
# Annotations by which Ambassador joined two deployments; left out, the traffic would be another one.
_AMBASSADOR = ("ambassador-weight", "ambassador-shadow", "ambassador-service-name", "ambassador-header")
# Words of Seldon's and Kubernetes' schemas that stand in each part and mean something there.
_LATER: dict[str, tuple[str, ...]] = {
    "spec": ("oauth_key", "oauth_secret"),
    "predictor": ("explainer", "ssl"),
    "component": ("hpaSpec", "kedaSpec", "pdbSpec"),
    "pod": ("affinity", "initContainers", "nodeSelector", "tolerations", "volumes"),
    "container": ("args", "command", "envFrom", "lifecycle", "volumeMounts", "workingDir"),
}

Path = tuple[str | int, ...]

_BECAUSE = "of a SeldonDeployment is not supported"


class Parameter(Part):
    """A value for the server of a unit."""

    name: str
    value: Text
    type: str = "STRING"


class PayloadLogger(Part):
    """Where a unit's requests and answers are sent."""

    url: str | None = None
    mode: Literal["all", "request", "response"] = "all"


class Unit(Part):
    """One part of a predictor's graph."""

    name: str
    children: tuple[Unit, ...] = Field(default=(), strict=False)
    type: str | None = None
    implementation: str | None = None
    modelUri: str | None = None  # noqa: N815
    endpoint: dict[str, Any] = Field(default_factory=dict)
    parameters: tuple[Parameter, ...] = Field(default=(), strict=False)
    methods: tuple[str, ...] = Field(default=(), strict=False)
    logger: PayloadLogger | None = None
    serviceAccountName: str | None = None  # noqa: N815
    envSecretRefName: str | None = None  # noqa: N815
    storageInitializerImage: str | None = None  # noqa: N815


class Container(Part):
    """The container of the unit that has its name."""

    name: str
    image: str | None = None
    env: tuple[EnvVar, ...] = Field(default=(), strict=False)
    resources: Resources = Field(default_factory=Resources)
    imagePullPolicy: Any = None  # noqa: N815
    livenessProbe: Any = None  # noqa: N815
    readinessProbe: Any = None  # noqa: N815
    startupProbe: Any = None  # noqa: N815
    ports: Any = None
    securityContext: Any = None  # noqa: N815

    _later = refusing(_LATER["container"], _BECAUSE)

    @field_validator("image")
    @classmethod
    def _seldons(cls, image: str | None) -> str | None:
        if image and not image.removeprefix("docker.io/").startswith("seldonio/"):
            raise ValueError(f"the image {image} is not supported, Millpond runs models without images")
        return image


class Pod(Part):
    """What Kubernetes starts."""

    containers: tuple[Container, ...] = Field(default=(), strict=False)
    terminationGracePeriodSeconds: Any = None  # noqa: N815
    serviceAccountName: Any = None  # noqa: N815
    imagePullSecrets: Any = None  # noqa: N815

    _later = refusing(_LATER["pod"], _BECAUSE)


class Component(Part):
    """One pod of a predictor."""

    metadata: dict[str, Any] = Field(default_factory=dict)
    spec: Pod = Field(default_factory=Pod)
    replicas: Annotated[int, Field(ge=1)] | None = None

    _later = refusing(_LATER["component"], _BECAUSE)


class SeldonPredictor(Part):
    """One version of the model, and its share of the traffic."""

    name: str
    graph: Unit
    componentSpecs: tuple[Component, ...] = Field(default=(), strict=False)  # noqa: N815
    replicas: Annotated[int, Field(ge=1)] | None = None
    traffic: Annotated[int, Field(ge=0, le=100)] = 0
    shadow: bool = False
    annotations: dict[str, Text] = Field(default_factory=dict)
    labels: dict[str, Text] = Field(default_factory=dict)
    engineResources: Any = None  # noqa: N815
    svcOrchSpec: Any = None  # noqa: N815

    _later = refusing(_LATER["predictor"], _BECAUSE)


class SeldonSpec(Part):
    """What is wanted."""

    name: str | None = None
    predictors: Annotated[tuple[SeldonPredictor, ...], Field(strict=False, min_length=1)]
    protocol: Literal["seldon", "tensorflow", "v2", "kfserving"] = "seldon"
    transport: Literal["rest"] = "rest"
    replicas: Annotated[int, Field(ge=1)] | None = None
    annotations: dict[str, Text] = Field(default_factory=dict)

    _later = refusing(_LATER["spec"], _BECAUSE)


class SeldonDeployment(Part):
    """A SeldonDeployment as a file or an API body."""

    apiVersion: Literal[  # noqa: N815
        "machinelearning.seldon.io/v1",
        "machinelearning.seldon.io/v1alpha3",
        "machinelearning.seldon.io/v1alpha2",
    ]
    kind: Literal["SeldonDeployment"]
    metadata: Metadata
    spec: SeldonSpec
    status: dict[str, Any] | None = Field(default=None, exclude=True)


def translate(text: str, source: str) -> list[dict[str, Any]]:
    """The KServe documents that do what a SeldonDeployment in YAML or JSON does, in the order to apply them.

    Two documents with one name are two revisions: the first has to be ready before the second is applied.

    Raises:
        DocumentError: with file, line and column of what is wrong or has no counterpart.
    """
    document = documents.read(text, source)
    return _Translation(document, documents.parse(SeldonDeployment, document)).documents()


class _Translation:
    def __init__(self, document: Document, deployment: SeldonDeployment) -> None:
        self._document = document
        self._metadata = deployment.metadata
        self._spec = deployment.spec

    def documents(self) -> list[dict[str, Any]]:
        self._check_annotations(("metadata", "annotations"), self._metadata.annotations)
        self._check_annotations(("spec", "annotations"), self._spec.annotations)
        predictors = self._spec.predictors
        if len(predictors) > 2:
            raise self._document.error(
                ("spec", "predictors", 2),
                "a third predictor is not supported, a deployment has two revisions at once",
            )
        shadows = [predictor.shadow for predictor in predictors]
        if shadows[0]:
            raise self._document.error(
                ("spec", "predictors", 0, "shadow"), "the first predictor answers and cannot be a shadow"
            )
        live = [predictor.traffic for predictor in predictors if not predictor.shadow]
        if sum(live) != 100 and (len(live) > 1 or live != [0]):
            raise self._document.error(
                ("spec", "predictors"), f"the traffic of the predictors adds up to {sum(live)}, not to 100"
            )
        if len(predictors) == 1:
            return self._single(predictors[0])
        return [self._revision(index, predictor) for index, predictor in enumerate(predictors)]

    def _single(self, predictor: SeldonPredictor) -> list[dict[str, Any]]:
        at: Path = ("spec", "predictors", 0, "graph")
        unit = predictor.graph
        self._check_annotations((*at[:-1], "annotations"), predictor.annotations)
        if unit.implementation == "RANDOM_ABTEST":
            return self._split(predictor, unit, at)
        if not unit.children:
            return [self._service(self._metadata.name, predictor, unit, at)]
        units, places = [unit], [at]
        while units[-1].children:
            if len(units[-1].children) > 1:
                raise self._document.error(
                    (*places[-1], "children", 1),
                    f"{units[-1].name} has two children; what joins their answers has no counterpart",
                )
            places.append((*places[-1], "children", 0))
            units.append(units[-1].children[0])
        names = self._names(units, places)
        services = [
            self._service(name, predictor, each, place, protocol="v1")
            for name, each, place in zip(names, units, places, strict=True)
        ]
        steps: list[dict[str, Any]] = [{"name": units[0].name, "serviceName": names[0], "dependency": "Hard"}]
        for name, each in zip(names[1:], units[1:], strict=True):
            step = {"name": each.name, "serviceName": name, "dependency": "Hard", "data": "$response"}
            # Seldon hands a model's answer to its child as a request of the same shape.
            steps.append({**step, "mapPredictionsToInstances": True})
        return [*services, self._graph("Sequence", steps)]

    def _split(self, predictor: SeldonPredictor, unit: Unit, at: Path) -> list[dict[str, Any]]:
        if len(unit.children) != 2:
            raise self._document.error(at, f"RANDOM_ABTEST {unit.name} has two children")
        ratio = next((item.value for item in unit.parameters if item.name == "ratioA"), "0.5")
        try:
            first = round(float(ratio) * 100)
        except ValueError:
            first = -1
        if not 0 <= first <= 100:
            raise self._document.error((*at, "parameters"), f"ratioA is from 0 to 1, not {ratio}")
        places = [(*at, "children", 0), (*at, "children", 1)]
        for child, place in zip(unit.children, places, strict=True):
            if child.children:
                raise self._document.error(place, f"{child.name} below RANDOM_ABTEST cannot have children")
        names = self._names(unit.children, places)
        services = [
            self._service(name, predictor, child, place)
            for name, child, place in zip(names, unit.children, places, strict=True)
        ]
        weights = (first, 100 - first)
        steps = [
            {"name": child.name, "serviceName": name, "weight": weight}
            for child, name, weight in zip(unit.children, names, weights, strict=True)
        ]
        return [*services, self._graph("Splitter", steps)]

    def _revision(self, index: int, predictor: SeldonPredictor) -> dict[str, Any]:
        at: Path = ("spec", "predictors", index)
        self._check_annotations((*at, "annotations"), predictor.annotations)
        if predictor.graph.children:
            raise self._document.error(
                (*at, "graph", "children"), "children are not supported where there are two predictors"
            )
        found = self._service(self._metadata.name, predictor, predictor.graph, (*at, "graph"))
        if predictor.shadow:
            found["spec"]["predictor"]["canaryTrafficPercent"] = 0
            annotations = found["metadata"].setdefault("annotations", {})
            annotations[MIRROR_ANNOTATION] = str(predictor.traffic or 100)
        elif index == 1:
            found["spec"]["predictor"]["canaryTrafficPercent"] = predictor.traffic
        return found

    def _service(
        self, name: str, predictor: SeldonPredictor, unit: Unit, at: Path, protocol: str | None = None
    ) -> dict[str, Any]:
        model: dict[str, Any] = {
            "modelFormat": {"name": self._format(unit, at)},
            "storageUri": self._uri(unit, at),
        }
        protocol = protocol or _PROTOCOLS.get(self._spec.protocol)
        if protocol:
            model["protocolVersion"] = protocol
        components = [each for each in predictor.componentSpecs if unit.name in _names(each)]
        for container in (each for part in components for each in part.spec.containers):
            if container.name == unit.name:
                if container.env:
                    model["env"] = [each.model_dump() for each in container.env]
                if container.resources != Resources():
                    model["resources"] = container.resources.model_dump(exclude_defaults=True)
        found: dict[str, Any] = {"model": model}
        own = next((each.replicas for each in components if each.replicas), None)
        replicas = own or predictor.replicas or self._spec.replicas or 1
        if replicas > 1:
            found |= {"minReplicas": replicas, "maxReplicas": replicas}
        if unit.logger is not None:
            found["logger"] = unit.logger.model_dump(exclude_none=True)
        return {
            "apiVersion": API_VERSION,
            "kind": "InferenceService",
            "metadata": self._metadata_of(name),
            "spec": {"predictor": found},
        }

    def _format(self, unit: Unit, at: Path) -> str:
        found = _FORMATS.get(unit.implementation or "")
        if unit.type not in (None, "MODEL", "UNKNOWN_TYPE"):
            raise self._document.error((*at, "type"), f"a unit of the type {unit.type} has no counterpart")
        if found is None and unit.implementation is not None:
            raise self._document.error(
                (*at, "implementation"),
                f"the implementation {unit.implementation} is not supported",
                hint=f"supported are {', '.join(_FORMATS)}, and RANDOM_ABTEST at the top",
            )
        if found is None:
            raise self._document.error(
                at, f"{unit.name} has no implementation; a model in an image of its own is not supported"
            )
        if str(unit.endpoint.get("type", "REST")).upper() != "REST":
            raise self._document.error(
                (*at, "endpoint"), "an endpoint of another type than REST is not supported"
            )
        if unit.methods:
            raise self._document.error((*at, "methods"), "methods of a model are not supported")
        for index, item in enumerate(unit.parameters):
            if item.name != "xtype" and (item.name, item.value) != ("method", "predict"):
                place = (*at, "parameters", index)
                raise self._document.error(place, f"the parameter {item.name}: {item.value} is not supported")
        return found

    def _uri(self, unit: Unit, at: Path) -> str:
        if not unit.modelUri:
            raise self._document.error(at, f"modelUri is missing in {unit.name}")
        if not unit.modelUri.startswith(_SCHEMES):
            known = ", ".join(_SCHEMES[:-1])
            raise self._document.error(
                (*at, "modelUri"),
                f"modelUri {unit.modelUri!r} is not supported; it starts with {known} or /",
            )
        return unit.modelUri

    def _names(self, units: list[Unit] | tuple[Unit, ...], places: list[Path]) -> list[str]:
        """One deployment's name for each unit; the graph itself has the SeldonDeployment's."""
        names = [f"{self._metadata.name}-{unit.name}".lower().replace("_", "-") for unit in units]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise self._document.error(
                    (*places[index], "name"), f"two units are called {units[index].name}"
                )
        return names

    def _graph(self, kind: str, steps: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "apiVersion": GRAPH_VERSION,
            "kind": "InferenceGraph",
            "metadata": self._metadata_of(self._metadata.name),
            "spec": {"nodes": {"root": {"routerType": kind, "steps": steps}}},
        }

    def _metadata_of(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = {"name": name, "namespace": self._metadata.namespace}
        if self._metadata.labels:
            found["labels"] = dict(self._metadata.labels)
        if self._metadata.annotations:
            found["annotations"] = dict(self._metadata.annotations)
        return found

    def _check_annotations(self, at: Path, annotations: dict[str, str]) -> None:
        for key in annotations:
            if key.startswith("seldon.io/") and key.removeprefix("seldon.io/") in _AMBASSADOR:
                raise self._document.error(
                    (*at, key),
                    f"the annotation {key} is not supported",
                    hint="write the other deployment as a second predictor with traffic or shadow",
                )


def _names(component: Component) -> list[str]:
    return [container.name for container in component.spec.containers]
