"""Data-Mill's description of a cluster on this machine, as our wishes: the keys of its section ``local``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from millpond.flavours.datamill.settings import Local
from millpond.model import document as documents
from millpond.model.errors import UsageError
from millpond.targets.kubernetes.clusters.wishes import Wishes, gibibytes, mebibytes


@dataclass(frozen=True)
class Translated:
    """What the section says.

    Args:
        provider: the provider that it names.
        multipass: whether MicroK8s is to be in a virtual machine.
        wishes: our wishes with its own in their place.
        notes: what has no counterpart.
    """

    provider: str | None
    multipass: bool
    wishes: Wishes
    notes: tuple[str, ...]


def translated(local: Local, wishes: Wishes) -> Translated:
    """The section ``local`` of a Data-Mill flavour or of the file that ``-t`` names.

    Args:
        local: the section.
        wishes: what holds where it says nothing.

    Raises:
        UsageError: a size is none.
    """
    given = set(wishes.given)
    if local.cpus is not None:
        wishes = replace(wishes, cpus=local.cpus)
        given.add("cpus")
    if local.memory is not None:
        wishes = replace(wishes, memory=mebibytes(local.memory, "local.memory"))
        given.add("memory")
    if local.storage is not None:
        wishes = replace(wishes, disk=gibibytes(local.storage, "local.storage"))
        given.add("disk")
    driver = local.vm_driver or ""
    wishes = replace(
        wishes,
        gpu=wishes.gpu or local.gpu_support,
        istio=wishes.istio or local.istio_support,
        driver=wishes.driver or driver,
        given=frozenset(given),
    )
    notes = []
    if local.use_overlay:
        notes.append("local.use_overlay is left out: the provider's own network is taken")
    return Translated(local.provider, local.use_multipass, wishes, tuple(notes))


def section(flavour: Path, target_file: str | None, folder: Path) -> Local | None:
    """The section ``local`` that counts: that of the file which ``-t`` names, else the flavour's.

    Args:
        flavour: the flavour file; one of Millpond's own has no such section.
        target_file: what ``-t`` names.
        folder: what a relative path starts from.

    Raises:
        UsageError: the file of ``-t`` is missing.
        DocumentError: a key is unknown or a value does not fit, with its place.
    """
    # Imported where it is needed: only Data-Mill's flavours have a target of this kind.
    from millpond.flavours.datamill import is_datamill, translate

    if is_datamill(documents.read(flavour.read_text(encoding="utf-8"), str(flavour))):
        target = translate(flavour, target_file=target_file).target
        return target if isinstance(target, Local) else None
    if target_file is None:
        return None
    path = folder / Path(target_file).expanduser()
    if not path.is_file():
        raise UsageError(f"-t: there is no file {target_file}", hint="give its path")
    found = documents.read(path.read_text(encoding="utf-8"), str(path))
    if not isinstance(found.data, dict) or "local" not in found.data:
        raise found.error((), "it does not describe a local target", hint="write a section local:")
    if found.data["local"] is None:
        return Local()
    return documents.parse(Local, found, at=("local",))
