"""Where a model came from, told to MLflow: code, data and environment, for the steps of any pipeline.

A step knows all of it from its `StepContext`, and MLflow has a place for each; this puts them there in one
way, so that every run answers the same questions. It is a convenience: a step may call MLflow for itself just
as well. The calls import MLflow, the module does not.

    mlflow.set_experiment("flights")
    with mlflow.start_run():
        tracking.log_origin(context)
        needed = tracking.requirements("scikit-learn")
        info = mlflow.sklearn.log_model(model, name="model", pip_requirements=needed)
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from millpond.lake.reference import ModelReference
from millpond.model.errors import MillpondError
from millpond.pipelines.context import StepContext

ENVIRONMENT_FILE = "environment/requirements.txt"
_DIGEST_LENGTH = 36
"""The most that MLflow keeps of a data set's digest; the whole one stands in a tag."""


def log_origin(context: StepContext) -> None:
    """Log the code, the data and the environment of a step to MLflow's active run.

    The code and the run of the pipeline are tags (see `code_tags`). Each input that lies in the lake is a
    data set of the run, and the tags ``millpond.data.PORT``, ``.version`` and ``.sha256``. The installed
    packages, with their versions, are the file `ENVIRONMENT_FILE`.

    Raises:
        MillpondError: no run is active, so that MLflow would silently start one.
    """
    import mlflow

    if mlflow.active_run() is None:
        raise MillpondError(
            "log_origin was called without an active MLflow run",
            hint="call it inside `with mlflow.start_run():`",
        )
    mlflow.set_tags({**code_tags(context), **_data_tags(context)})
    for port, reference in context.inputs.items():
        if not reference.by_value:
            digest = (reference.sha256 or reference.version or "unknown")[:_DIGEST_LENGTH]
            mlflow.log_input(_dataset(port, reference.uri, digest), context=port)
    mlflow.log_text("\n".join(_installed()) + "\n", ENVIRONMENT_FILE)


def code_tags(context: StepContext) -> dict[str, str]:
    """The pipeline's run and step, the commit and digest of its code, and the key of its environment."""
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


def requirements(*packages: str) -> list[str]:
    """MLflow and `packages`, each pinned to the version that is installed, for ``pip_requirements``.

    Given them, MLflow need not find out by loading the model once more in another process.

    Raises:
        MillpondError: a package is not installed.
    """
    pinned = []
    for name in ("mlflow", *packages):
        try:
            pinned.append(f"{name}=={metadata.version(name)}")
        except metadata.PackageNotFoundError:
            raise MillpondError(
                f"the package {name} is not installed",
                hint="the model could not be loaded where it is served",
            ) from None
    return pinned


def register(model: ModelReference, name: str, tags: Mapping[str, Any] | None = None) -> ModelReference:
    """Make a logged model a new version of the registered model `name`; no alias moves."""
    import mlflow

    version = mlflow.register_model(model.uri, name, tags=dict(tags or {}))
    return ModelReference(f"models:/{name}/{version.version}", name, str(version.version), model.run_id)


def run_link(model: ModelReference) -> str:
    """The page of the run that logged a model, as a browser reaches it."""
    import mlflow

    experiment = mlflow.get_run(model.run_id).info.experiment_id
    return _page(f"experiments/{experiment}/runs/{model.run_id}")


def model_link(model: ModelReference) -> str:
    """The page of a registered model's version, as a browser reaches it."""
    return _page(f"models/{model.name}/versions/{model.version}")


def _page(path: str) -> str:
    """A page of MLflow: through the gateway where there is one, else on the tracking server itself."""
    import mlflow

    gateway = os.environ.get("MILLPOND_GATEWAY_URL")
    base = gateway.replace("://", "://mlflow.", 1) if gateway else mlflow.get_tracking_uri()
    return f"{base.rstrip('/')}/#/{path}"


def _data_tags(context: StepContext) -> dict[str, str]:
    found = {}
    for port, reference in context.inputs.items():
        if not reference.by_value:
            found[f"millpond.data.{port}"] = reference.uri
            found[f"millpond.data.{port}.version"] = reference.version or ""
            found[f"millpond.data.{port}.sha256"] = reference.sha256 or ""
    return found


def _dataset(name: str, uri: str, digest: str) -> Any:
    from mlflow.data.http_dataset_source import HTTPDatasetSource
    from mlflow.data.meta_dataset import MetaDataset

    # MLflow's own source for S3 would need boto3 to say no more than the address.
    return MetaDataset(HTTPDatasetSource(uri), name=name, digest=digest)


def _installed() -> list[str]:
    """Every installed package with its version, as ``pip freeze`` lists them."""
    found = {name: item.version for item in metadata.distributions() if (name := item.metadata["Name"])}
    return [f"{name}=={found[name]}" for name in sorted(found, key=str.lower)]
