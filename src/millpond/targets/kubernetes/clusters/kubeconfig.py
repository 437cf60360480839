"""A cluster's credentials taken into the user's kubeconfig, for tools that only print them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from millpond.model.errors import MillpondError
from millpond.targets.kubernetes.clusters.machine import Machine, Step

_PARTS = ("clusters", "users", "contexts")


def path(environ: Mapping[str, str]) -> Path:
    """The kubeconfig that is written: the first of KUBECONFIG, else ``~/.kube/config``."""
    named = next((part for part in environ.get("KUBECONFIG", "").split(os.pathsep) if part), None)
    return Path(named).expanduser() if named else Path(environ.get("HOME", "~")).expanduser() / ".kube/config"


def take(machine: Machine, step: Step, context: str) -> Path:
    """Ask a tool for its kubeconfig and merge that into the user's, as the current context.

    Args:
        machine: where.
        step: the command that prints it.
        context: what its context is called with us.

    Returns:
        The file that was written; it holds credentials, so that its user alone may read it.

    Raises:
        MillpondError: the tool does not tell, or the user's file is no kubeconfig.
    """
    place = path(machine.environ)
    answer = machine.ask(*step.argv)
    by_hand = f"{step} > FILE, with mode 0600; `KUBECONFIG=FILE millpond up --target kubernetes` uses it"
    if answer.code != 0:
        raise MillpondError(
            f"the kubeconfig of {context} cannot be read: {answer.last}", hint=f"do it by hand: {by_hand}"
        )
    told = _read(answer.out, f"what {step.argv[0]} prints")
    merged = merge(_read(_text(place), str(place)), told, context)
    _write(place, merged)
    return place


def forget(machine: Machine, context: str) -> None:
    """Take a deleted cluster's context out of the user's kubeconfig, with what only it used."""
    place = path(machine.environ)
    found = _read(_text(place), str(place))
    if not any(one.get("name") == context for one in found.get("contexts") or []):
        return
    for part in _PARTS:
        found[part] = [one for one in found.get(part) or [] if one.get("name") != context]
    if found.get("current-context") == context:
        found["current-context"] = ""
    _write(place, found)


def merge(into: Mapping[str, Any], told: Mapping[str, Any], context: str) -> dict[str, Any]:
    """A kubeconfig with another's current context in it, its cluster and its user, all called `context`.

    Tools call theirs ``default`` or ``admin``; under such names they would take each other's place.

    Raises:
        MillpondError: `told` has no context.
    """
    current = told.get("current-context") or next((one["name"] for one in told.get("contexts") or []), "")
    chosen = _named(told, "contexts", current).get("context") or {}
    parts: dict[str, dict[str, Any]] = {
        "clusters": {"cluster": _named(told, "clusters", chosen.get("cluster", "")).get("cluster")},
        "users": {"user": _named(told, "users", chosen.get("user", "")).get("user")},
        "contexts": {"context": {**chosen, "cluster": context, "user": context}},
    }
    if not all(value for part in parts.values() for value in part.values()):
        raise MillpondError(f"the kubeconfig of {context} names no cluster or no user")
    found = {"apiVersion": "v1", "kind": "Config", **into}
    for part, content in parts.items():
        others = [one for one in into.get(part) or [] if one.get("name") != context]
        found[part] = [*others, {"name": context, **content}]
    found["current-context"] = context
    return found


def _named(data: Mapping[str, Any], part: str, name: str) -> dict[str, Any]:
    return next((one for one in data.get(part) or [] if one.get("name") == name), {})


def _text(place: Path) -> str:
    try:
        return place.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise MillpondError(f"the kubeconfig {place} cannot be read: {error.strerror}") from None


def _read(text: str, source: str) -> dict[str, Any]:
    # Never the text itself in a message: it holds credentials.
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        raise MillpondError(f"{source} is no YAML") from None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise MillpondError(f"{source} is no kubeconfig")
    return found


def _write(place: Path, data: Mapping[str, Any]) -> None:
    """Whole or not at all: others read the file at any time."""
    # A link, as dotfiles are kept, stays one.
    place = place.resolve()
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=place.parent, prefix=".kubeconfig-")
    except OSError as error:
        raise MillpondError(f"the kubeconfig {place} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            yaml.safe_dump(dict(data), stream, sort_keys=False)
        os.replace(name, place)  # noqa: PTH105 - a name from mkstemp
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(name)  # noqa: PTH108 - the same
        raise
