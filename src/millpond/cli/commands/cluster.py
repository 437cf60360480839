"""``millpond cluster``: clusters on this machine, and modules for those in a cloud."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from millpond.cli.session import Session, json_option, long_file_option, pass_session

_PROVIDERS = click.Choice(["minikube", "microk8s", "kind", "k3s"])


@click.group("cluster")
def command() -> None:
    """Clusters for the target kubernetes.

    They are made on this machine by minikube, kind, microk8s or k3s, which you install. For a cloud there are
    Terraform modules.
    """


def _which(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say which cluster is meant, and whether it is only told what would be done."""
    for option in (
        json_option,
        click.option("--dry-run", is_flag=True, help="Print the commands, run none of them"),
        click.option("--name", metavar="NAME", help="The cluster's name"),
        click.option("--multipass", is_flag=True, help="MicroK8s in a virtual machine of multipass"),
        click.option("--provider", type=_PROVIDERS, help="Which tool has it"),
    ):
        function = option(function)
    return function


def _sure(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("-y", "--yes", is_flag=True, help="Do not ask")(function)


@command.command("create")
@_which
@click.option("--cpus", type=click.IntRange(min=1), help="Cores; enough for the flavour when left out")
@click.option("--memory", metavar="SIZE", help="Memory, as 8Gi or in MiB; enough for the flavour")
@click.option("--disk", metavar="SIZE", help="Disk, as 60Gi or in GiB; enough for the flavour")
@click.option("--gpu", is_flag=True, help="Let pods use this machine's GPUs")
@click.option("--kubernetes-version", metavar="VERSION", help="Such as 1.34.2; the tool's own when left out")
@click.option("--nodes", type=click.IntRange(1, 20), default=1, show_default=True, help="How many nodes")
@click.option("--driver", metavar="DRIVER", help="What minikube makes nodes with, such as docker or kvm2")
@click.option("--istio", is_flag=True, help="With the tool's addon for Istio")
@click.option("-t", "target_file", metavar="FILE", help="A file with Data-Mill's section local")
@long_file_option
@pass_session
def create(session: Session, /, dry_run: bool, **given: Any) -> None:
    """Make a cluster that is big enough for the flavour, the starter when there is none here.

    A Data-Mill flavour's section local is read: provider, cpus, memory, storage, gpu_support, vm_driver,
    use_multipass, istio_support. Options on the command line win.
    """
    from millpond.cli import clustering

    clustering.create(session, dry_run=dry_run, **given)


@command.command("start")
@_which
@pass_session
def start(session: Session, /, dry_run: bool, **which: Any) -> None:
    """Start a stopped cluster."""
    from millpond.cli import clustering

    clustering.change(session, "start", dry_run=dry_run, yes=True, **which)


@command.command("stop")
@_which
@_sure
@pass_session
def stop(session: Session, /, dry_run: bool, yes: bool, **which: Any) -> None:
    """Stop a cluster; what is in it stays."""
    from millpond.cli import clustering

    clustering.change(session, "stop", dry_run=dry_run, yes=yes, **which)


@command.command("delete")
@_which
@_sure
@pass_session
def delete(session: Session, /, dry_run: bool, yes: bool, **which: Any) -> None:
    """Delete a cluster with everything in it, after a question."""
    from millpond.cli import clustering

    clustering.change(session, "delete", dry_run=dry_run, yes=yes, **which)


@command.command("status")
@click.option("--provider", type=_PROVIDERS, help="Of one tool")
@json_option
@pass_session
def status(session: Session, provider: str | None) -> None:
    """List the clusters of this machine, over all tools that are installed."""
    from millpond.cli import clustering

    clustering.status(session, provider)


@command.command("load")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE|ARCHIVE...")
@_which
@pass_session
def load(session: Session, /, images: tuple[str, ...], dry_run: bool, **which: Any) -> None:
    """Bring images onto a cluster's nodes, so that no registry is needed.

    An image is taken from Docker, Podman, nerdctl or buildah, whichever has it; an archive is a file as
    `docker save` writes it. Set pull_policy: Never or IfNotPresent under kubernetes.
    """
    from millpond.cli import clustering

    clustering.load(session, images, dry_run=dry_run, **which)


@command.command("terraform")
@click.argument("cloud", type=click.Choice(["aks", "eks", "gke"]))
@click.option(
    "-o", "folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path),
    help="Where it is written; a folder of the cloud's name when left out",
)  # fmt: skip
@click.option("--name", metavar="NAME", default="millpond", show_default=True, help="The cluster's name")
@click.option(
    "--region", metavar="REGION", default="", help="The cloud's region; one in Europe when left out"
)
@click.option("--gpu", metavar="SIZE", default="", help="The machines with a GPU, or none")
@json_option
@pass_session
def terraform(session: Session, cloud: str, folder: Path | None, name: str, region: str, gpu: str) -> None:
    """Write a Terraform module for a cluster on Azure, AWS or Google Cloud.

    It has pools for ordinary pods, for much memory and for GPUs, an object store, a registry and a network.
    Terraform is yours to run: nothing is made, and no cloud is asked.
    """
    from millpond.cli import clouds

    clouds.terraform(session, cloud, folder, name=name, region=region, gpu=gpu)


@command.command("flavour")
@click.argument("file", metavar="FILE|-")
@json_option
@pass_session
def flavour(session: Session, file: str) -> None:
    """Print what a flavour says of a cluster that the module made.

    FILE is what `terraform output -json` printed, - is standard input. Keys of the lake are named by
    environment variables.
    """
    from millpond.cli import clouds

    clouds.flavour(session, file)
