"""The files of a component: those made for it, and the scripts of its folder.

Plain ones come from a ConfigMap, those that are one secret from its Secret, both through one projected
volume. A file with secrets among other text is put together in the pod, by an init container whose
variables the kubelet fills, so that only secrets themselves are ever kept.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from millpond.catalogue import Entry
from millpond.model.platform import Node
from millpond.targets.kubernetes.bundle import Object
from millpond.targets.kubernetes.render import names
from millpond.targets.kubernetes.render.realise import Realiser, Variables

_RECIPES = {".in", ".lock"}
_MODE = 0o440
_MEMORY = "16Mi"


class Files:
    """The files of one node, as objects and as parts of its pods."""

    def __init__(self, node: Node, entry: Entry, realiser: Realiser) -> None:
        self.node = node
        self.entry = entry
        self.realiser = realiser
        self.made = list(node.component.service.files)
        self.plain: dict[str, str] = {}
        self.secret: dict[str, tuple[str, str]] = {}
        self.composed: list[str] = []
        for name in self.made:
            value = realiser.file(node.name, name)
            reference = realiser.reference(value)
            if reference is not None:
                self.secret[name] = (reference.secret, reference.key)
            elif value.secret:
                self.composed.append(name)
            else:
                self.plain[name] = realiser.text(value)

    @cached_property
    def scripts(self) -> dict[str, str]:
        """The small texts of the component's folder, for commands that speak of ``${folder}``."""
        if "${folder}" not in str(self.node.component.model_dump()):
            return {}
        found = {}
        for path in sorted(self.entry.folder.iterdir()):
            recipe = path.name in ("component.yaml", "package.json", "package-lock.json")
            if path.is_file() and path.suffix not in _RECIPES and not recipe:
                found[path.name] = path.read_text()
        return found

    # --- objects ------------------------------------------------------------------------------------------

    def config_maps(self, labels: dict[str, str], namespace: str) -> list[Object]:
        """The ConfigMaps: of made files, and of scripts."""
        found = []
        for word, data in (("files", self.plain), ("folder", self.scripts)):
            if data:
                found.append(
                    {
                        "apiVersion": "v1",
                        "kind": "ConfigMap",
                        "metadata": {
                            "name": names.resource(self.node.name, word),
                            "namespace": namespace,
                            "labels": labels,
                        },
                        "data": {_key(name): text for name, text in sorted(data.items())},
                    }
                )
        return found

    @cached_property
    def digest(self) -> str:
        """Changes when a pod has to start anew to see what its ConfigMaps say."""
        return names.digest([self.plain, self.scripts])

    # --- parts of a pod -----------------------------------------------------------------------------------

    def volumes(self) -> list[dict[str, Any]]:
        """The volumes of a pod."""
        found: list[dict[str, Any]] = []
        sources: list[dict[str, Any]] = []
        if self.plain:
            items = [{"key": _key(name), "path": name} for name in sorted(self.plain)]
            name = names.resource(self.node.name, "files")
            sources.append({"configMap": {"name": name, "items": items}})
        for name, (secret, key) in sorted(self.secret.items()):
            sources.append({"secret": {"name": secret, "items": [{"key": key, "path": name}]}})
        if sources:
            found.append({"name": "files", "projected": {"defaultMode": _MODE, "sources": sources}})
        if self.composed:
            found.append({"name": "composed", "emptyDir": {"medium": "Memory", "sizeLimit": _MEMORY}})
        if self.scripts:
            name = names.resource(self.node.name, "folder")
            found.append({"name": "folder", "configMap": {"name": name, "defaultMode": 0o555}})
        return found

    def mounts(self) -> list[dict[str, Any]]:
        """The mounts of each container."""
        found: list[dict[str, Any]] = []
        if self.plain or self.secret:
            found.append({"name": "files", "mountPath": names.FILES, "readOnly": True})
        if self.composed:
            found.append({"name": "composed", "mountPath": names.COMPOSED, "readOnly": True})
        if self.scripts:
            found.append({"name": "folder", "mountPath": names.FOLDER, "readOnly": True})
        return found

    def composer(self) -> dict[str, Any] | None:
        """The init container that writes the files with secrets in them; None where there are none.

        Its image and security are those of the pod's other containers.
        """
        if not self.composed:
            return None
        variables = Variables()
        texts = []
        lines = ["umask 027"]
        for index, name in enumerate(self.composed):
            value = self.realiser.file(self.node.name, name)
            texts.append({"name": f"FILE_{index}", "value": self.realiser.text(value, variables)})
            path = f"{names.COMPOSED}/{name}"
            if "/" in name:
                lines.append(f"mkdir -p {Path(path).parent}")
            lines.append(f'printf %s "$FILE_{index}" > {path}')
        return {
            "name": "files",
            "command": ["sh", "-c", "\n".join(lines)],
            "env": [*variables.env(), *texts],
            "volumeMounts": [{"name": "composed", "mountPath": names.COMPOSED}],
        }


def _key(name: str) -> str:
    """A file's name as a ConfigMap's key, which has no slashes."""
    return name.replace("/", "__")
