"""What every run in MLflow says about where it came from: code, data, environment."""

from __future__ import annotations

import os
from importlib import metadata

import mlflow
from mlflow.data.http_dataset_source import HTTPDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from millpond.lake.reference import ModelReference
from millpond.pipelines.context import StepContext

CHAMPION = "champion"


def tags(context: StepContext) -> dict[str, str]:
    """The run of the pipeline, the version of the code, and the key of the environment."""
    code = context.code
    return {
        "millpond.run": context.run_id,
        "millpond.pipeline": context.pipeline,
        "millpond.step": context.step,
        "millpond.environment": context.environment,
        "millpond.code.digest": str(code.get("digest") or "unknown"),
        "millpond.code.dirty": str(bool(code.get("dirty"))).lower(),
        "mlflow.source.git.commit": str(code.get("commit") or "unknown"),
    }


def log_inputs(context: StepContext) -> None:
    """The exact bytes that a step was given, as data sets of the run."""
    for port, reference in context.inputs.items():
        if reference.by_value:
            continue
        digest = (reference.sha256 or reference.version or "unknown")[:36]
        mlflow.log_input(
            MetaDataset(HTTPDatasetSource(reference.uri), name=port, digest=digest), context=port
        )
        mlflow.set_tags(
            {f"millpond.data.{port}": reference.uri, f"millpond.data.{port}.sha256": reference.sha256 or ""}
        )


def log_environment() -> None:
    """Every installed package with its version, as `pip freeze` would list it."""
    found = {item.metadata["Name"]: item.version for item in metadata.distributions()}
    lines = [f"{name}=={found[name]}" for name in sorted(found, key=str.lower)]
    mlflow.log_text("\n".join(lines) + "\n", "environment/requirements.txt")


def requirements(*names: str) -> list[str]:
    """The versions that a model needs to be loaded with; given, MLflow need not find them by loading it once more."""
    return [f"{name}=={metadata.version(name)}" for name in ("mlflow", *names)]


def champion(name: str) -> ModelVersion | None:
    """The version of the registered model `name` that the alias `champion` names, if any."""
    try:
        return mlflow.MlflowClient().get_model_version_by_alias(name, CHAMPION)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def register(model: ModelReference, name: str, tags: dict[str, str]) -> ModelReference:
    """Add a version of the registered model `name`."""
    version = mlflow.register_model(model.uri, name, tags=tags)
    return ModelReference(f"models:/{name}/{version.version}", name, str(version.version), model.run_id)


def reference(version: ModelVersion) -> ModelReference:
    """A version of a registered model, to hand to another step."""
    return ModelReference(
        f"models:/{version.name}/{version.version}", version.name, str(version.version), version.run_id
    )


def link(path: str) -> str:
    """A page of MLflow as a browser reaches it: through the gateway where there is one."""
    gateway = os.environ.get("MILLPOND_GATEWAY_URL")
    base = gateway.replace("://", "://mlflow.", 1) if gateway else mlflow.get_tracking_uri()
    return f"{base.rstrip('/')}/#/{path}"


def run_link(model: ModelReference) -> str:
    """The page of the run that trained a model."""
    experiment = mlflow.get_run(model.run_id).info.experiment_id
    return link(f"experiments/{experiment}/runs/{model.run_id}")
