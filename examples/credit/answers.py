"""Ask the deployed model about two loans."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from millpond.serving.client import ServingClient

REQUESTS = {"A clerk with savings": "request.json", "A debtor with records": "request-risky.json"}
WORDS = {0: "will pay it back", 1: "will not"}


def ask(deployment: dict[str, Any]) -> dict[str, str]:
    """What the model answers to each request beside this file."""
    client = ServingClient.from_env()
    found = {}
    for label, file in REQUESTS.items():
        body = json.loads((Path(__file__).parent / file).read_text(encoding="utf-8"))
        found[label] = WORDS[int(client.predict(deployment["name"], body)["outputs"][0]["data"][0])]
    return found
