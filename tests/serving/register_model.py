"""Registers a model folder as the next version of a model and points an alias to it.

Usage: python register_model.py FOLDER NAME ALIAS; runs in the science environment, prints version and run.
"""

import sys

import mlflow
from mlflow import MlflowClient

folder, name, alias = sys.argv[1:]
client = MlflowClient()
if not client.search_registered_models(f"name='{name}'"):
    client.create_registered_model(name)
with mlflow.start_run() as run:
    mlflow.log_artifacts(folder, "model")
version = client.create_model_version(name, f"runs:/{run.info.run_id}/model", run.info.run_id)
client.set_registered_model_alias(name, alias, version.version)
sys.stdout.write(f"{version.version} {run.info.run_id}\n")
