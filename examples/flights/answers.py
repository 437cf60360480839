"""Ask the deployed model about three flights, and say what came of it all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from millpond.lake.reference import ModelReference
from millpond.pipelines import tracking
from millpond.serving.client import ServingClient

REQUESTS = {
    "An hour late to San Francisco": "request.json",
    "On time to Boston, no weather given": "request-without-weather.json",
    "Late, with a carrier never seen": "request-unseen-carrier.json",
}


def predict(deployment: dict[str, Any]) -> dict[str, float]:
    """Minutes of delay that the model answers to each request beside this file."""
    client = ServingClient.from_env()
    found = {}
    for label, file in REQUESTS.items():
        body = json.loads((Path(__file__).parent / file).read_text(encoding="utf-8"))
        found[label] = float(client.predict(deployment["name"], body)["outputs"][0]["data"][0])
    return found


def report(
    metrics: dict[str, float],
    baselines: dict[str, dict[str, float]],
    importance: dict[str, float],
    trained: ModelReference,
    model: ModelReference,
    deployment: dict[str, Any],
    predictions: dict[str, float],
) -> dict[str, Any]:
    """The results as data, and as a table to read."""
    url = f"{deployment['url']}/v2/models/{deployment['name']}"
    links = {
        "run": tracking.run_link(trained),
        "model": tracking.model_link(model),
        "deployment": url,
    }
    results = {
        "metrics": metrics,
        "baselines": baselines,
        "importance": importance,
        "model": f"{model.name} version {model.version}",
        "predictions": predictions,
        "links": links,
    }
    named = {
        "This run's model, at the gate": metrics,
        "As late as it left": baselines["departure"],
        "The same trees at booking": baselines["at_booking"],
        "Always the mean": baselines["mean"],
    }
    width = max(map(len, (*named, *predictions)))
    lines = [f"{'Arrival delay, later months':<{width}}  {'MAE':>6}  {'RMSE':>6}  {'R2':>6}"]
    lines += [
        f"{label:<{width}}  {found['mae']:6.2f}  {found['rmse']:6.2f}  {found['r2']:6.3f}"
        for label, found in named.items()
    ]
    lines += ["", "Predicted by the deployment"]
    lines += [f"{label:<{width}}  {minutes:6.1f} minutes" for label, minutes in predictions.items()]
    # The links have a column of their own: with the table's, they would not fit on a line.
    narrow = max(map(len, links))
    lines += ["", *(f"{label.capitalize():<{narrow}}  {link}" for label, link in links.items())]
    return {"results": results, "summary": "\n".join(lines)}
