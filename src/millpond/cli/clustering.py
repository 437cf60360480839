"""What ``millpond cluster`` does with the clusters of this machine, and how it tells."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millpond.cli.asking import agreed
from millpond.cli.session import Session
from millpond.cli.style import COLOURS, columns, faint, hint, note, out, paint, warn
from millpond.model.errors import MillpondError, UsageError
from millpond.targets.kubernetes.clusters import archives as images
from millpond.targets.kubernetes.clusters import datamill, fleet, kubeconfig
from millpond.targets.kubernetes.clusters.machine import Machine, Step
from millpond.targets.kubernetes.clusters.provider import Found, Provider, State
from millpond.targets.kubernetes.clusters.wishes import (
    NAME,
    Size,
    Wishes,
    cores,
    gibibytes,
    mebibytes,
    size_for,
)

if TYPE_CHECKING:
    from millpond.flavours.datamill.settings import Local

_WORDS = {State.RUNNING: "ready", State.STOPPED: "stopped", State.BROKEN: "failed"}
_DONE = {"start": "is started", "stop": "is stopped", "delete": "is deleted"}
_DOING = {"start": "starting", "stop": "stopping", "delete": "deleting"}
assert set(_WORDS.values()) <= set(COLOURS)


def create(
    session: Session,
    *,
    dry_run: bool,
    provider: str | None,
    multipass: bool,
    name: str | None,
    target_file: str | None,
    **wanted: Any,
) -> None:
    """Make a cluster, tell its context, and how to go on.

    Raises:
        MillpondError: the tool is missing, root is needed, or a step failed.
    """
    machine = Machine()
    size, local = _described(session, target_file)
    wishes, provider, multipass = _wishes(size, local, wanted, provider, multipass)
    if provider is None and not multipass:
        chosen = fleet.choose(machine)
        note(f"taking {chosen.name}, which is installed; --provider takes another one")
    else:
        chosen = _provider(provider, multipass)
        machine.need(chosen.tool, f"the provider {chosen.name}")
    wishes = replace(wishes, name=chosen.cluster_name(name or NAME))
    context = chosen.context(wishes.name)
    steps = chosen.create(wishes, machine)
    if dry_run:
        _show(session, steps, chosen, context)
        return
    there = next((found for found in chosen.clusters(machine) if found.name == wishes.name), None)
    # MicroK8s is there as soon as it is installed: creating it means to start it and enable the addons.
    if there is not None and chosen.name not in ("microk8s", "k3s"):
        if there.state is State.RUNNING:
            note(f"the cluster {wishes.name} of {chosen.name} is there already, and is not changed")
            _tell_context(session, there)
            return
        raise MillpondError(
            f"{chosen.name} has a cluster {wishes.name} already, which is {there.state}",
            hint=f"`millpond cluster start --name {wishes.name}`, or delete it first",
        )
    _warn_of_size(wishes, chosen)
    machine.allow(steps, f"making a cluster with {chosen.name}", "`millpond cluster status`")
    _run(machine, steps)
    _take(machine, chosen, wishes.name)
    for line in chosen.notes(wishes, machine):
        note(line)
    _tell_context(session, Found(chosen.name, wishes.name, State.RUNNING, context, nodes=wishes.nodes))


def change(
    session: Session,
    what: str,
    *,
    dry_run: bool,
    yes: bool,
    provider: str | None,
    multipass: bool,
    name: str | None,
) -> None:
    """Start, stop or delete a cluster; what takes something away asks first.

    Raises:
        UsageError: nobody is there to answer.
        MillpondError: it is not clear which cluster is meant, root is needed, or a step failed.
    """
    machine = Machine()
    chosen, found = fleet.find(machine, name, _among(provider, multipass))
    steps: list[Step] = getattr(chosen, what)(found.name, machine)
    if dry_run:
        _show(session, steps, chosen, found.context)
        return
    settled = {"start": State.RUNNING, "stop": State.STOPPED}.get(what)
    if found.state is settled:
        note(f"the cluster {found.name} of {chosen.name} is {found.state} already")
    else:
        if not yes and not _sure(what, found):
            note("nothing was changed")
            return
        machine.allow(steps, f"{_DOING[what]} {found.name}", "`millpond cluster status`")
        _run(machine, steps)
        note(f"the cluster {found.name} of {chosen.name} {_DONE[what]}")
        if what == "start":
            _take(machine, chosen, found.name)
    if what == "delete":
        if chosen.kubeconfig(found.name, machine) is not None:
            kubeconfig.forget(machine, found.context)
    elif what == "start":
        _tell_context(session, replace(found, state=State.RUNNING))
        return
    if session.json:
        state = settled.value if settled else "deleted"
        out(json.dumps({**found.as_dict(), "state": state}))


def status(session: Session, provider: str | None) -> None:
    """Print one table over all providers that are installed."""
    machine = Machine()
    there = fleet.overview(machine, _among(provider, False))
    if session.json:
        out(
            json.dumps(
                {
                    "clusters": [found.as_dict() for found in there.clusters],
                    "silent": [{"provider": one.name, "message": e.message} for one, e in there.silent],
                    "missing": [one.name for one in there.missing],
                }
            )
        )
        return
    rows = [
        (
            found.provider,
            found.name,
            found.state.value,
            found.version,
            str(found.nodes or ""),
            found.context,
            found.message,
        )
        for found in there.clusters
    ]
    words = {state.value: word for state, word in _WORDS.items()}
    heads = ("PROVIDER", "NAME", "STATE", "VERSION", "NODES", "CONTEXT", "NOTE")
    for line in columns(rows, heads=heads, paints={2: lambda c: paint(c, words.get(c.strip(), c)), 6: faint}):
        out(line)
    for _, error in there.silent:
        warn(error.message + (f" ({error.hint})" if error.hint else ""))
    if not rows:
        note("there is no cluster on this machine")
        if len(there.missing) == len(_among(provider, False)):
            for one in there.missing:
                note(f"{one.name} is not installed: {one.tool.install(machine.system)}")
        else:
            hint("`millpond cluster create` makes one")


def load(
    session: Session,
    names: Sequence[str],
    *,
    dry_run: bool,
    provider: str | None,
    multipass: bool,
    name: str | None,
) -> None:
    """Bring images onto the nodes of a cluster that runs.

    Raises:
        MillpondError: an image or archive is not there, or a step failed.
    """
    machine = Machine()
    chosen, found = fleet.find(machine, name, _among(provider, multipass))
    # Beside the user's own files: a snap sees no other folders than those of the home.
    with tempfile.TemporaryDirectory(prefix="millpond-images-", dir=_home(machine)) as scratch:
        wanted = images.archives(names, session.folder, Path(scratch), machine)
        steps = [*wanted.saving, *chosen.load(found.name, wanted.files, machine)]
        if dry_run:
            _show(session, steps, chosen, found.context)
            return
        if found.state is not State.RUNNING:
            raise MillpondError(
                f"the cluster {found.name} of {chosen.name} is {found.state}",
                hint=f"`millpond cluster start --name {found.name}`",
            )
        machine.allow(steps, f"loading images into {found.name}", "go on")
        _run(machine, steps)
    note(f"{', '.join(names)}: loaded into {found.name}")
    if session.json:
        out(json.dumps({**found.as_dict(), "images": list(names)}))


def _home(machine: Machine) -> str | None:
    home = machine.environ.get("HOME", "")
    return home if Path(home).is_dir() and home else None


def _provider(provider: str | None, multipass: bool) -> Provider:
    if multipass and provider not in (None, "microk8s"):
        raise UsageError(f"--multipass is for the provider microk8s, not for {provider}")
    return fleet.provider(provider or "microk8s", multipass=multipass)


def _among(provider: str | None, multipass: bool) -> Sequence[Provider]:
    if provider is None and not multipass:
        return fleet.PROVIDERS
    return (_provider(provider, multipass),)


def _described(session: Session, target_file: str | None) -> tuple[Size, Local | None]:
    """What the flavour needs, and what it says of a cluster where it is Data-Mill's."""
    from millpond.flavours import loader

    path = session.locate()[0] if session.file else None
    if path is None:
        path = next(
            (
                folder / loader.FILE
                for folder in (session.folder, *session.folder.parents)
                if (folder / loader.FILE).is_file()
            ),
            loader.SHIPPED / "starter.yaml",
        )
    source = loader.read(path)
    size = size_for(source.resolve(source.catalogue()))
    return size, datamill.section(path, target_file, session.folder)


def _wishes(
    size: Size, local: Local | None, wanted: dict[str, Any], provider: str | None, multipass: bool
) -> tuple[Wishes, str | None, bool]:
    """The flavour's needs, over them Data-Mill's section, over that the command line."""
    wishes = Wishes(cpus=size.cpus, memory=size.memory, disk=size.disk)
    if local is not None:
        told = datamill.translated(local, wishes)
        for line in told.notes:
            warn(line)
        wishes = told.wishes
        if provider is None and not multipass:
            provider, multipass = told.provider, told.multipass and told.provider != "minikube"
    sizes = {
        "cpus": wanted["cpus"],
        "memory": mebibytes(wanted["memory"], "--memory") if wanted["memory"] else None,
        "disk": gibibytes(wanted["disk"], "--disk") if wanted["disk"] else None,
    }
    given = {key: value for key, value in sizes.items() if value is not None}
    wishes = replace(
        wishes,
        **given,
        given=wishes.given | set(given),
        gpu=wishes.gpu or wanted["gpu"],
        istio=wishes.istio or wanted["istio"],
        nodes=wanted["nodes"],
        version=wanted["kubernetes_version"] or "",
        driver=wanted["driver"] or wishes.driver,
    )
    return wishes, provider, multipass


def _warn_of_size(wishes: Wishes, chosen: Provider) -> None:
    if wishes.cpus > cores() and chosen.name != "kind":
        warn(f"the cluster is to have {wishes.cpus} cores, and this machine has {cores()}")


def _sure(what: str, found: Found) -> bool:
    """Ask; see `agreed`."""
    gone = " with everything in it" if what == "delete" else ""
    return agreed(
        f"{what.capitalize()} the cluster {found.name} of {found.provider}{gone}?",
        unheard=f"cluster {what} asks first, and nobody is there to answer",
        hint=f"`millpond cluster {what} --yes` does not ask",
    )


def _show(session: Session, steps: Sequence[Step], chosen: Provider, context: str) -> None:
    """The exact commands: as a script, or as JSON."""
    if session.json:
        commands = [{"argv": list(s.argv), "stdin": s.stdin, "root": s.root} for s in steps]
        out(json.dumps({"provider": chosen.name, "context": context, "commands": commands}))
        return
    for step in steps:
        out(str(step))


def _run(machine: Machine, steps: Sequence[Step]) -> None:
    for step in steps:
        note(faint(f"$ {str(step).splitlines()[0]}", sys.stderr))
        machine.run(step, lambda line: note(faint(f"  {line}", sys.stderr)))


def _take(machine: Machine, chosen: Provider, name: str) -> None:
    step = chosen.kubeconfig(name, machine)
    if step is not None:
        place = kubeconfig.take(machine, step, chosen.context(name))
        note(f"the context {chosen.context(name)} is in {place}")


def _tell_context(session: Session, found: Found) -> None:
    if session.json:
        out(json.dumps(found.as_dict()))
        return
    out(found.context)
    hint(f"`millpond up --target kubernetes --context {found.context}` brings a platform up on it")
