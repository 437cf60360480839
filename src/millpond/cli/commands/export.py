"""``millpond pipeline export``: a pipeline as documents for Argo Workflows or Kubeflow Pipelines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from millpond.cli.commands.run import parse_parameters
from millpond.cli.session import Session, file_option, json_option, pass_session, target_options
from millpond.cli.style import hint, note, out


@click.command("export")
@click.argument("pipeline", type=click.Path(path_type=Path), metavar="PIPELINE")
@click.option(
    "--to", "engine", type=click.Choice(["argo", "kubeflow"]), required=True, help="What it is written for"
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write it to a file")
@click.option("--image", help="The image of the steps, in place of that of the platform's Dask workers")
@click.option(
    "--claim", metavar="NAME", help="An existing ReadWriteMany volume claim for the records of runs"
)
@click.option(
    "-p", "parameters", multiple=True, metavar="NAME=VALUE", help="A default in place of the file's"
)
@click.option("--schedule", metavar="CRON", help="A schedule in place of the file's, for Argo")
@file_option
@target_options
@json_option
@pass_session
def command(
    session: Session,
    pipeline: Path,
    engine: str,
    output: Path | None,
    image: str | None,
    claim: str | None,
    parameters: tuple[str, ...],
    schedule: str | None,
) -> None:
    """Write PIPELINE as YAML that runs on the platform's cluster, by Argo Workflows or Kubeflow Pipelines.

    Asks no cluster. Steps run in pods with the image, the services and the rights of the platform's Dask
    workers. There is nothing secret in it.
    """
    from millpond.model.errors import UsageError
    from millpond.pipelines.document import read_pipeline
    from millpond.pipelines.export import argo, kubeflow
    from millpond.pipelines.export.steppod import StepPod
    from millpond.pipelines.export.work import Work
    from millpond.pipelines.parameters import as_plain, resolve

    if engine == "kubeflow":
        if output is None:
            raise UsageError(
                "the export for Kubeflow Pipelines is two files",
                hint="-o FILE.yaml says where the first goes",
            )
        if schedule:
            raise UsageError(
                "a file for Kubeflow Pipelines has no schedule",
                hint="make a recurring run of it there, by its page or its API",
            )
    session.kind = session.kind or "kubernetes"
    target = session.cluster_target()
    found = read_pipeline(session.folder / pipeline)
    words = parse_parameters(parameters)
    known = {name: one.default for name, one in found.parameters.items() if one.default is not None}
    values = as_plain(resolve({n: p for n, p in found.parameters.items() if n in {*known, *words}}, words))
    work = Work.of(found, defaults={name: values[name] for name in words}, schedule=schedule, image=image)
    pod = StepPod.of(target.platform, target.catalogue, image)
    if engine == "argo":
        texts = {output: stream(argo.documents(work, pod, claim))}
    else:
        assert output is not None
        texts = {
            output: stream(kubeflow.documents(work, pod, claim)),
            output.with_name(f"{output.stem}-objects.yaml"): stream(kubeflow.beside(work, pod, claim)),
        }
    for path, text in texts.items():
        if path is None:
            out(text.rstrip())
            return
        (session.folder / path).write_text(text, encoding="utf-8")
    files = [str(path) for path in texts]
    if session.json:
        out(json.dumps({"pipeline": work.name, "version": work.version, "files": files}))
        return
    note(f"wrote {' and '.join(files)}")
    hint(f"kubectl apply --server-side -f {files[-1]}")
    if engine == "argo":
        hint(f"argo submit -n {pod.namespace} --from workflowtemplate/{work.name}")
    elif work.schedule:
        note(f"its schedule {work.schedule} is not in it: make a recurring run there")


def stream(documents: Sequence[dict[str, Any]]) -> str:
    """Documents as one stream of YAML; plain data is written out each time, without YAML's anchors."""
    from millpond.cli.yaml_text import dump

    return "".join(f"---\n{dump(json.loads(json.dumps(document)))}" for document in documents)
