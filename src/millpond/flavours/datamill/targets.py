"""Which description of a cluster counts: that of ``-t``, of the flavour, or of the project's default file."""

from __future__ import annotations

from pathlib import Path

from millpond.flavours.datamill.layout import Layout
from millpond.flavours.datamill.settings import LOCATIONS, TARGETS, Hybrid, Local, Location, Project, Target
from millpond.model import document as documents
from millpond.model.document import Document
from millpond.model.errors import DocumentError, MillpondError, UsageError, did_you_mean

SHIPPED = {"default_mc.yaml": Local(provider="minikube"), "default_uc.yaml": Local(provider="microk8s")}


def find_target(
    flavour: Document, layout: Layout, project: Project, location: Location, target_file: str | None
) -> tuple[Target | None, Document]:
    """The target's settings and the file that they stand in; None where nobody describes this machine.

    Raises:
        DocumentError: a key is unknown, a value does not fit, a named file is missing.
        UsageError: the file of ``-t`` is missing.
        MillpondError: nobody describes the remote or hybrid target.
    """
    inline = {name: _section(flavour, name) for name in LOCATIONS if name in flavour.data}
    if target_file is not None:
        path = layout.find(target_file, [Path(), layout.folder, layout.cluster_configs])
        if path is None:
            if target_file in SHIPPED and location == "local":
                return SHIPPED[target_file], flavour
            raise UsageError(
                f"-t: there is no file {target_file}", hint="give its path, or its name in k8s/configs"
            )
        target, file = _from_file(path, location)
        if target is None:
            hint = f"write a section {location}:"
            raise file.error((), f"it does not describe a {location} target", hint=hint)
        return target, file
    if location in inline:
        return inline[location], flavour
    target, file = _default(flavour, layout, project, location)
    if target is None and location != "local":
        raise MillpondError(
            f"{flavour.source} does not describe a {location} target",
            hint=f"write a section {location}:, or name a file that has one with -t",
        )
    return target, file


def _default(
    flavour: Document, layout: Layout, project: Project, location: Location
) -> tuple[Target | None, Document]:
    name = project.k8s_default_config
    if not name:
        return None, flavour
    path = layout.find(name, [layout.folder, layout.cluster_configs])
    if path is not None:
        return _from_file(path, location)
    if name in SHIPPED:
        return (SHIPPED[name] if location == "local" else None), flavour
    raise flavour.error(
        ("project", "k8s_default_config"),
        f"the target's file {name} does not exist",
        hint=f"it is looked up in {layout.cluster_configs or layout.folder}",
    )


def _from_file(path: Path, location: Location) -> tuple[Target | None, Document]:
    found = documents.read(path.read_text(encoding="utf-8"), str(path))
    if not isinstance(found.data, dict):
        raise found.error((), "a target's file has a section local, remote or hybrid")
    for key in found.data:
        if key not in LOCATIONS:
            raise DocumentError(
                found.key_place((key,)), f"unknown section {key}", hint=did_you_mean(key, LOCATIONS)
            )
    sections = {name: _section(found, name) for name in LOCATIONS if name in found.data}
    return sections.get(location), found


def _section(found: Document, location: Location) -> Target:
    model = TARGETS[location]
    return model() if found.data[location] is None else documents.parse(model, found, at=(location,))


def kubeconfig(file: Document, target: Target | None) -> Path | None:
    """The kubeconfig of a hybrid target; ``~`` expands.

    Raises:
        DocumentError: it is named, and missing: another cluster must never be taken in its place.
    """
    if not isinstance(target, Hybrid) or not target.config:
        return None
    path = Path(file.source).parent / Path(target.config).expanduser()
    if not path.is_file():
        raise file.error(("hybrid", "config"), f"the kubeconfig {target.config} does not exist")
    return path
