"""What a flavour takes from ``terraform output -json``: where the cluster, its images and its lake are.

Source of the format: https://developer.hashicorp.com/terraform/cli/commands/output
"""

from __future__ import annotations

import json
from typing import Any

import yaml

from millpond.model import document
from millpond.model.errors import MillpondError
from millpond.model.flavour import Flavour

ACCESS_KEY, SECRET_KEY = "LAKE_ACCESS_KEY", "LAKE_SECRET_KEY"
_NEEDED = ("context", "registry")
_LAKE = ("lake_endpoint", "lake_bucket", "lake_region")
_HOW = "`terraform output -json | millpond cluster flavour -`, in the module's folder after `terraform apply`"


def flavour(text: str, source: str) -> dict[str, Any]:
    """The parts ``kubernetes`` and ``external`` of a flavour.

    Without a lake among the outputs there is no ``external``: the flavour keeps an object store of its own.
    The keys of the lake are named and not given, as no output holds them.

    Args:
        text: what ``terraform output -json`` printed.
        source: where it comes from, for messages.

    Raises:
        MillpondError: it is something else, or an output is missing or empty.
        DocumentError: an output says what a flavour cannot.
    """
    values = _values(text, source)
    missing = [name for name in _NEEDED if not values.get(name)]
    if lake := any(values.get(name) for name in _LAKE):
        missing += [name for name in _LAKE if not values.get(name)]
    if missing:
        raise MillpondError(
            f"{source} lacks the output {', '.join(missing)}",
            hint=f"the outputs.tf of `millpond cluster terraform` has it; {_HOW}",
        )
    kubernetes: dict[str, Any] = {name: values[name] for name in _NEEDED}
    if pool := values.get("gpu_pool"):
        kubernetes["gpu"] = _gpu(pool, source)
    found: dict[str, Any] = {"kubernetes": kubernetes}
    if lake:
        found["external"] = {
            "s3": {
                **{name.removeprefix("lake_"): values[name] for name in _LAKE},
                "access_key": {"env": ACCESS_KEY},
                "secret_key": {"env": SECRET_KEY},
            }
        }
    document.parse(Flavour, document.read(dump(found), source))
    return found


def dump(parts: dict[str, Any]) -> str:
    """The parts as they go into a flavour's file."""
    return yaml.safe_dump(parts, sort_keys=False, width=1000)


def _values(text: str, source: str) -> dict[str, str]:
    """Outputs that are text, by name."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(
        isinstance(one, dict) and "value" in one for one in found.values()
    ):
        raise MillpondError(f"{source} is not what `terraform output -json` prints", hint=_HOW)
    if not found:
        raise MillpondError(f"{source} has no outputs", hint="`terraform apply` comes first")
    return {name: one["value"] for name, one in found.items() if isinstance(one["value"], str)}


def _gpu(pool: str, source: str) -> dict[str, dict[str, str]]:
    key, equals, value = pool.partition("=")
    if not (key and equals and value):
        raise MillpondError(
            f"{source} says {pool!r} for the output gpu_pool",
            hint="it is the key and the value of the GPU nodes' taint and label, such as dedicated=gpu",
        )
    return {"node_selector": {key: value}, "toleration": {key: value}}
