"""Ask the deployed model, and say what came of it all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from millpond.lake.reference import ModelReference
from millpond.pipelines import tracking
from millpond.serving.client import ServingClient

FOLDER = Path(__file__).parent


def predict(deployment: dict[str, Any]) -> dict[str, float]:
    """Days that the model answers to the two request bodies beside this file."""
    client = ServingClient.from_env()

    def days(file: str) -> float:
        body = json.loads((FOLDER / file).read_text(encoding="utf-8"))
        answer = client.predict(deployment["name"], body)
        return float(answer["outputs"][0]["data"][0])

    return {"testdata": days("testdata.json"), "unseen_region": days("unseen-region.json")}


def report(
    metrics: dict[str, float],
    model: ModelReference,
    deployment: dict[str, Any],
    predictions: dict[str, float],
) -> dict[str, Any]:
    """The results as data, and as a table to read."""
    url = f"{deployment['url']}/v2/models/{deployment['name']}"
    results = {
        "metrics": metrics,
        "predictions": predictions,
        "model": f"{model.name} version {model.version}",
        "links": {
            "model": tracking.model_link(model),
            "deployment": url,
        },
    }
    lines = [
        ("R2 on 20 % unseen rows", f"{metrics['r2']:.3f}"),
        ("Mean absolute error", f"{metrics['mae']:.1f} days"),
        ("Root mean squared error", f"{metrics['rmse']:.1f} days"),
        ("testdata.json, verbatim", f"{predictions['testdata']:.1f} days"),
        ("A region never seen", f"{predictions['unseen_region']:.1f} days"),
        (f"Model {model.name} {model.version}", results["links"]["model"]),
        ("Deployment", url),
    ]
    width = max(len(label) for label, _ in lines)
    return {"results": results, "summary": "\n".join(f"{label:<{width}}  {value}" for label, value in lines)}
