"""``millpond render``: the platform as files for a cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from millpond.cli.session import Session, file_option, json_option, pass_session, target_options
from millpond.cli.style import hint, note, out, plural, warn

if TYPE_CHECKING:
    from millpond.targets.kubernetes.bundle import Object
    from millpond.targets.kubernetes.target import KubernetesTarget


@click.command("render")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="The folder to write to")
@click.option("--kserve", is_flag=True, help="The cluster has KServe: models become its InferenceServices")
@click.option("--stdout", is_flag=True, help="Print all of it as one stream of YAML")
@file_option
@json_option
@target_options
@pass_session
def command(session: Session, output: Path | None, kserve: bool, stdout: bool) -> None:
    """Write the platform as YAML that kubectl, Argo CD or Flux apply. Asks no cluster.

    There is nothing secret in it. A Job of the tree makes the platform's secrets in the cluster; those
    that the flavour takes from elsewhere are named, to be made by you.
    """
    from millpond.model.errors import UsageError
    from millpond.targets.kubernetes.policies import check
    from millpond.targets.kubernetes.render import secretjob, tree

    if (output is None) == (not stdout):
        raise UsageError("where to?", hint="`millpond render -o DIR` or `millpond render --stdout`")
    session.kind = session.kind or "kubernetes"
    target = session.cluster_target()
    bundle = target.bundle
    check(bundle, target.platform.policies)
    charts = target.templates()
    deployments = _deployments(target, by_kserve=kserve)
    if stdout:
        for name, text in tree.files(bundle, charts, deployments):
            if name.endswith(".yaml"):
                out(f"---\n# {name}\n{text}".rstrip())
        return
    assert output is not None
    paths = tree.write(bundle, session.folder / output, charts, deployments)
    if session.json:
        external = secretjob.external(bundle)
        out(json.dumps({"files": [str(path) for path in paths], "secrets": external}))
        return
    for line in bundle.notes:
        note(line)
    note(f"wrote {plural(len(paths), 'file')} to {output}")
    for secret, keys in secretjob.external(bundle).items():
        note(f"make the Secret {secret} in the namespace {bundle.namespace} yourself: {', '.join(keys)}")
    hint(f"kubectl apply --server-side -R -f {output}")


def _deployments(target: KubernetesTarget, *, by_kserve: bool) -> dict[str, list[Object]]:
    """The objects of the project's deployments and graphs; what files cannot say is told and left out."""
    from millpond.model import document
    from millpond.serving import inferencegraph
    from millpond.serving.cluster.context import Context
    from millpond.serving.cluster.gitops import rendered, rendered_graph
    from millpond.serving.inferenceservice import InferenceService

    found: dict[str, list[Object]] = {}
    paths = sorted((target.project / "deployments").glob("*.yaml"))
    if not paths or not target.platform.providers("inference"):
        return found
    context = Context.of(target.platform, target.catalogue)
    services: dict[str, Any] = {}
    graphs = []
    for path in paths:
        read = document.read(path.read_text(), str(path))
        kind = read.data.get("kind") if isinstance(read.data, dict) else None
        if kind == "InferenceGraph":
            graphs.append((path, inferencegraph.read(path.read_text(), str(path))))
        if kind != "InferenceService":
            continue
        service = document.parse(InferenceService, read)
        services[service.metadata.name] = service.document()
        with _left_out(path):
            found[service.metadata.name] = rendered(service, context, by_kserve=by_kserve)
    for path, graph in graphs:
        with _left_out(path):
            found[graph.metadata.name] = rendered_graph(graph, context, services, by_kserve=by_kserve)
    return found


@contextmanager
def _left_out(path: Path) -> Iterator[None]:
    """Tell of what cannot be written into files, and go on with the next."""
    from millpond.model.errors import MillpondError

    try:
        yield
    except MillpondError as error:
        warn(f"{path.name} is left out: {error.message}")
        if error.hint:
            hint(error.hint)
