"""Platforms for a cluster from flavours written in the tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from millpond.catalogue import Catalogue
from millpond.flavours import loader
from millpond.model.platform import Platform
from millpond.targets.kubernetes.bundle import Bundle
from millpond.targets.kubernetes.render import render

Resolved = tuple[Platform, Catalogue]


def resolved(folder: Path, text: str | dict[str, Any]) -> Resolved:
    """The platform of a flavour file with this content, for a cluster."""
    data = yaml.safe_load(text) if isinstance(text, str) else text
    path = folder / "millpond.yaml"
    path.write_text(yaml.safe_dump({"target": "kubernetes", **data}, sort_keys=False))
    source = loader.read(path)
    catalogue = source.catalogue()
    return source.resolve(catalogue), catalogue


@pytest.fixture
def bundle(tmp_path: Path) -> Callable[[str | dict[str, Any]], Bundle]:
    """Renders a flavour."""

    def made(text: str | dict[str, Any]) -> Bundle:
        return render(*resolved(tmp_path, text))

    return made


STARTER = """
name: starter
components: {seaweedfs: {}, postgres: {}, mlflow: {}, dask: {}, serving: {}, gateway: {}}
"""

FLAVOURS = {
    "starter": STARTER,
    "ingress": STARTER
    + """
kubernetes:
  registry: registry.example.org/team
  pull_secrets: [registry]
  storage_class: fast
  routes: {kind: ingress, host: mill.example.org, ingress_class: nginx, tls_secret: tls}
""",
    "no gateway": """
name: open
components: {seaweedfs: {}, postgres: {}, mlflow: {replicas: 3}, dask: {workers: 1, replicas: 4}}
kubernetes: {routes: {kind: gateway, host: mill.example.org, gateway: infra/entrance, section: https}}
""",
    "gpu": """
name: gpu
components: {dask: {resources: {gpu: 1, memory: 8Gi, cpu: 2}}}
""",
    "own services": """
name: own
components: {mlflow: {image: "ghcr.io/mlflow/mlflow@sha256:%s"}}
external:
  postgres: {host: db.example.org, username: mill, database: mill, password: {env: DB_PASSWORD}}
  s3: {endpoint: "https://s3.example.org", access_key: mill, secret_key: {env: S3_KEY}}
"""
    % ("0" * 64),
}
