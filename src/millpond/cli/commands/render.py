"""``millpond render``: the platform as plain YAML, for kubectl, Argo CD and Flux."""

from __future__ import annotations

import json
from pathlib import Path

import click

from millpond.cli.session import Session, file_option, json_option, pass_session, target_options
from millpond.cli.style import hint, note, out, plural


@click.command("render")
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write the tree there; what an earlier render wrote there is replaced",
)
@click.option("--stdout", is_flag=True, help="Print all objects as one stream of YAML")
@file_option
@json_option
@target_options
@pass_session
def command(session: Session, output: Path | None, stdout: bool) -> None:
    """Write what the platform comes down to on a cluster. Asks no cluster; nothing secret is in it."""
    from millpond.model.errors import UsageError
    from millpond.targets.kubernetes.render import tree

    if (output is None) != stdout:
        raise UsageError("render writes to a folder or to standard output", hint="-o DIR, or --stdout")
    bundle = session.cluster_target().bundle
    if output is None:
        for _, text in (found for found in tree.files(bundle) if found[0].endswith(".yaml")):
            out(f"---\n{text.rstrip()}")
        return
    paths = tree.write(bundle, session.folder / output)
    if session.json:
        out(json.dumps([str(path) for path in paths]))
        return
    note(f"wrote {plural(len(paths), 'file')} to {output}")
    if bundle.secrets:
        note(f"Secrets that a Job of the tree makes: {', '.join(secret.name for secret in bundle.secrets)}")
    hint(f"kubectl apply --server-side -R -f {output}")
