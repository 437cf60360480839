"""One question to the model registry: is this version still there? Asked before a cached model is trusted.

Speaks MLflow's REST API directly (https://mlflow.org/docs/latest/api_reference/rest-api.html, *Get
ModelVersion*), as importing mlflow takes seconds.
"""

from __future__ import annotations

import base64
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from typing import Any


def model_exists(model: dict[str, Any]) -> bool:
    """Whether a registered version is there; True when nobody can tell (no registry, or not registered)."""
    server = os.environ.get("MLFLOW_REGISTRY_URI") or os.environ.get("MLFLOW_TRACKING_URI", "")
    name, version = model.get("name"), model.get("version")
    if not server.startswith("http") or not name or not version:
        return True
    query = urllib.parse.urlencode({"name": name, "version": version})
    url = f"{server.rstrip('/')}/api/2.0/mlflow/model-versions/get?{query}"
    request = urllib.request.Request(url)
    if user := os.environ.get("MLFLOW_TRACKING_USERNAME"):
        word = f"{user}:{os.environ.get('MLFLOW_TRACKING_PASSWORD', '')}"
        request.add_header("Authorization", f"Basic {base64.b64encode(word.encode()).decode()}")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            found = json.load(answer)["model_version"]
        return bool(found.get("status", "READY") == "READY")
    except urllib.error.HTTPError as error:
        # What is not there is not trusted; a registry in trouble is no reason to train again.
        return error.code not in (400, 404)
    except (OSError, ValueError, KeyError):
        return True
