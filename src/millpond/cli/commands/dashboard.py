"""``millpond dashboard``: the Kubernetes dashboard of a cluster, through a proxy on this machine."""

from __future__ import annotations

import asyncio
import subprocess

import click

from millpond.cli.session import Session, file_option, pass_session, target_options
from millpond.cli.style import note, out

_PLACES = (
    ("kubernetes-dashboard", "kubernetes-dashboard-kong-proxy", "https", 443),
    ("kubernetes-dashboard", "kubernetes-dashboard", "https", 443),
    ("kube-system", "kubernetes-dashboard", "https", 443),
)
"""Namespace, Service, scheme, port: the dashboard's chart since version 7, its manifests, older add-ons."""


@click.command("dashboard")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=8001, show_default=True, help="The proxy's port"
)
@file_option
@target_options
@pass_session
def command(session: Session, port: int) -> None:
    """Print the address of the Kubernetes dashboard, and lead there until Ctrl-C."""
    from millpond.model.errors import MillpondError

    target = session.cluster_target()
    found = asyncio.run(target.services(_PLACES))
    if found is None:
        raise MillpondError(
            "the cluster has no Kubernetes dashboard",
            hint="minikube: `minikube addons enable dashboard`; elsewhere its chart kubernetes-dashboard",
        )
    namespace, service, scheme, number = found
    path = f"api/v1/namespaces/{namespace}/services/{scheme}:{service}:{number}/proxy/"
    out(f"http://127.0.0.1:{port}/{path}")
    note("Ctrl-C ends it")
    try:
        code = subprocess.call([*target.kubectl(), "proxy", "--address=127.0.0.1", f"--port={port}"])
    except KeyboardInterrupt:
        note()
        return
    raise click.exceptions.Exit(code)
