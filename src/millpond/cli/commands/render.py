"""``millpond render``: the platform as files for a cluster."""

from __future__ import annotations

import json
from pathlib import Path

import click

from millpond.cli.session import Session, file_option, json_option, pass_session, target_options
from millpond.cli.style import hint, note, out, plural


@click.command("render")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="The folder to write to")
@click.option("--stdout", is_flag=True, help="Print all of it as one stream of YAML")
@file_option
@json_option
@target_options
@pass_session
def command(session: Session, output: Path | None, stdout: bool) -> None:
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
    if stdout:
        for name, text in tree.files(bundle, charts):
            if name.endswith(".yaml"):
                out(f"---\n# {name}\n{text}".rstrip())
        return
    assert output is not None
    paths = tree.write(bundle, output, charts)
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
