"""Kubeconfigs: which file, which context, and whom to ask.

`KUBECONFIG` may name several files, which are merged as kubectl merges them: the first to say something wins;
see https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/. Without any file,
a pod's own service account is taken.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from millpond.model.errors import MillpondError, did_you_mean
from millpond.targets.kubernetes.api.extra import needed

if TYPE_CHECKING:
    from lightkube.config.kubeconfig import SingleConfig

_USUAL = Path("~/.kube/config")
_LISTS = {"clusters": "cluster", "contexts": "context", "users": "user"}
_FILES = (
    "certificate-authority",
    "client-certificate",
    "client-key",
    "tokenFile",
)
"""Keys whose relative paths are meant from the folder of the file that has them."""


def load(context: str = "", kubeconfig: Path | None = None) -> SingleConfig:
    """The cluster, user and namespace of a context.

    Args:
        context: its name; the current one when empty.
        kubeconfig: the file; else `KUBECONFIG`, else ``~/.kube/config``, else the pod's service account.

    Raises:
        MillpondError: there is no such file or context, or the file is not a kubeconfig.
    """
    with needed():
        from lightkube.config.kubeconfig import KubeConfig
        from lightkube.core.exceptions import ConfigError

    paths = _paths(kubeconfig)
    if not paths:
        try:
            found = KubeConfig.from_service_account().get()
        except (ConfigError, KeyError):
            found = None
        if found is None or context:
            raise MillpondError(
                "there is no kubeconfig, so no cluster is known",
                hint=f"put one at {_USUAL}, or name one: export KUBECONFIG=…",
            )
        return found
    merged = _merge(paths)
    names = [entry["name"] for entry in merged["contexts"]]
    wanted = context or merged.get("current-context") or ""
    where = os.pathsep.join(map(str, paths))
    if not wanted:
        raise MillpondError(
            f"{where} has no current context",
            hint=f"choose one with --context, or under kubernetes: context; known are {', '.join(names)}",
        )
    if wanted not in names:
        raise MillpondError(
            f"{where} has no context {wanted}",
            hint=did_you_mean(wanted, names) or "the file has no context at all",
        )
    try:
        config = KubeConfig.from_dict(merged, fname=paths[0]).get(wanted)
    except KeyError as error:
        raise MillpondError(
            f"{where}: the context {wanted} speaks of {error}, which the file does not have",
            hint="mend the file, or choose another context",
        ) from None
    except Exception as error:  # msgspec's own, of a value of another type
        raise MillpondError(f"{where} is not a kubeconfig: {error}", hint="mend the file") from None
    assert config is not None
    return config


def _paths(given: Path | None) -> list[Path]:
    if given is not None:
        if not given.expanduser().is_file():
            raise MillpondError(f"there is no kubeconfig at {given}", hint="check the path")
        return [given.expanduser()]
    named = os.environ.get("KUBECONFIG", "")
    if named:
        paths = [Path(part).expanduser() for part in named.split(os.pathsep) if part]
        found = [path for path in paths if path.is_file()]
        if not found:
            raise MillpondError(
                f"KUBECONFIG names {named}, which is not there", hint="mend it, or unset KUBECONFIG"
            )
        return found
    usual = _USUAL.expanduser()
    return [usual] if usual.is_file() else []


def _merge(paths: list[Path]) -> dict[str, Any]:
    merged: dict[str, Any] = {key: [] for key in _LISTS}
    for path in paths:
        try:
            read = yaml.safe_load(path.read_text()) or {}
            if not isinstance(read, dict):
                raise TypeError("not a mapping")
            for key, inner in _LISTS.items():
                known = {entry["name"] for entry in merged[key]}
                for entry in read.get(key) or []:
                    if entry["name"] not in known:
                        merged[key].append({**entry, inner: _absolute(entry[inner], path.parent)})
        except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
            raise MillpondError(
                f"{path} is not a kubeconfig: {' '.join(str(error).split())}", hint="mend the file"
            ) from None
        if read.get("current-context") and not merged.get("current-context"):
            merged["current-context"] = read["current-context"]
    return merged


def _absolute(part: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Its paths as absolute ones, as merged entries come from several folders."""
    found = dict(part)
    for key in _FILES:
        if found.get(key):
            found[key] = str((folder / found[key]).resolve())
    plugin = found.get("exec")
    if isinstance(plugin, dict) and "/" in str(plugin.get("command", "")):
        found["exec"] = {**plugin, "command": str((folder / plugin["command"]).resolve())}
    return found
