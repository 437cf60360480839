"""A step that makes a model answer requests: it applies an InferenceService and waits until it is ready.

The document is KServe's own (``serving.kserve.io/v1beta1``), so that both targets take the same one.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from millpond.lake.reference import ModelReference
from millpond.model.errors import MillpondError
from millpond.pipelines.document import Duration, Step
from millpond.pipelines.extension import Keys, Problem, StepCall, StepKind


class DeployKeys(Keys):
    """The deployment's name and protocol; the model as a URI, unless it is the input ``model``."""

    name: Annotated[str, Field(min_length=1, max_length=53, description="The deployment's name")]
    model: str | None = Field(
        default=None, description="A model's URI, such as `models:/flights@champion`, in place of an input"
    )
    format: str = Field(default="mlflow", description="The model's format, as KServe names it")
    protocol: Literal["v1", "v2", "grpc-v2"] = Field(
        default="v2", description="The protocol that clients speak"
    )
    canary: Annotated[int, Field(ge=0, lt=100)] | None = Field(
        default=None, description="Percent of the traffic for the new revision; without it, all"
    )
    annotations: dict[str, str] = Field(
        default_factory=dict,
        description="Such as `serving.millpond.dev/rollout`, see the concepts of serving",
    )
    namespace: str = Field(default="default", description="The namespace of the InferenceService")
    ready_within: Duration = Field(default=180.0, description="How long it may take to be ready")


class DeployStep(StepKind):
    """Applies the deployment every time it runs; applying what is there already changes nothing."""

    keys = DeployKeys
    cacheable = False

    def check(self, step: Step, keys: DeployKeys, folder: Path, strict: bool) -> Iterable[Problem]:
        """Exactly one source for the model, and one output at most."""
        if (keys.model is None) == ("model" not in step.inputs):
            yield Problem(
                ("use",), "a deployment needs one model", "name it as the input model, or by the key model"
            )
        for port in step.inputs:
            if port != "model":
                yield Problem(("inputs", port), f"a deployment has no input {port}", "its input is model")
        if len(step.outputs) > 1:
            yield Problem(("outputs",), "a deployment has one output", "name it deployment")
        for port, output in step.outputs.items():
            if output.type != "json":
                yield Problem(("outputs", port), f"{port} is JSON", "write type: json")

    def run(self, call: StepCall) -> Mapping[str, Any]:
        """Apply, wait until ready, and return name, url, revision and model."""
        keys: DeployKeys = call.keys
        model = call.decode("model") if "model" in call.inputs else ModelReference(str(keys.model))
        # Imported late and by name: a pipeline without a deployment needs no serving.
        module = importlib.import_module("millpond.serving.client")
        client = module.ServingClient.from_env()
        call.context.log.info("apply %s with %s", keys.name, model.uri)
        found = client.apply(inference_service(keys, model, call.context.run_id), wait=keys.ready_within)
        status = dict(found.get("status") or {})
        ready = {item.get("type"): item for item in status.get("conditions", [])}.get("Ready", {})
        if ready and str(ready.get("status")) != "True":
            reason = ready.get("message") or ready.get("reason") or "it says no reason"
            raise MillpondError(f"the deployment {keys.name} is not ready: {reason}")
        predictor = (status.get("components") or {}).get("predictor") or {}
        deployment = {
            "name": keys.name,
            "namespace": keys.namespace,
            "url": status.get("url"),
            "protocol": keys.protocol,
            "revision": predictor.get("latestReadyRevision"),
            "model": model.as_dict(),
        }
        return dict.fromkeys(call.outputs, deployment)


def inference_service(keys: DeployKeys, model: ModelReference, run: str) -> dict[str, Any]:
    """The document that asks for the deployment."""
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": keys.name,
            "namespace": keys.namespace,
            "annotations": {**keys.annotations, "millpond.dev/run": run, "millpond.dev/model": model.uri},
        },
        "spec": {
            "predictor": {
                **({} if keys.canary is None else {"canaryTrafficPercent": keys.canary}),
                "model": {
                    "modelFormat": {"name": keys.format},
                    "protocolVersion": keys.protocol,
                    "storageUri": model.uri,
                },
            }
        },
    }
