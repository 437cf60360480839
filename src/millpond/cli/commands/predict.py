"""``millpond predict``: one request to a deployment or a graph, from a file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from millpond.cli import completion
from millpond.cli.busy import busy
from millpond.cli.session import Session, file_option, json_option, pass_session
from millpond.cli.style import note, out

if TYPE_CHECKING:
    from millpond.cli.serving import Serving
    from millpond.serving.client import Answer

Data = dict[str, Any]
_REVISION = "x-revision"


@click.command("predict")
@click.argument("name", shell_complete=completion.deployments)
@click.option(
    "--data", metavar="FILE", help="JSON: a whole body, a list of rows, or one row; - reads standard input"
)
@click.option(
    "--csv", metavar="FILE", help="A table whose first line names the columns; - reads standard input"
)
@click.option(
    "--protocol",
    type=click.Choice(["v1", "v2"]),
    help="How it is asked; by default what the body is, and v2 for a table",
)
@click.option("--revision", metavar="REVISION", help="Ask this one, whatever share of the requests it has")
@file_option
@json_option
@pass_session
def command(
    session: Session,
    name: str,
    data: str | None,
    csv: str | None,
    protocol: str | None,
    revision: str | None,
) -> None:
    """Ask the deployment or graph NAME for predictions, and print one for each row.

    The revision that answered and the prediction's id, which `millpond feedback` takes, are told beside them.
    """
    from millpond.cli import payloads
    from millpond.cli.manner import text_of
    from millpond.cli.serving import Serving
    from millpond.model.errors import UsageError

    if (data is None) == (csv is None):
        raise UsageError("give --data FILE or --csv FILE", hint="- reads standard input")
    text, source = text_of(session.folder, str(data if csv is None else csv))
    serving = Serving(session)
    deployment, graph = _found(serving, name)
    if graph is not None and revision is not None:
        raise UsageError(f"{name} is a graph and has no revisions", hint="ask the deployment itself")
    with busy(f"asking {name}"):
        if csv is not None:
            table = payloads.table(text, source)
            first = deployment if graph is None else _first_service(serving, graph)
            inputs = [] if first is None else _inputs(serving, first)
            protocol = protocol or ("v2" if graph is None else _protocol(first))
            payload = payloads.v1(table, inputs) if protocol == "v1" else payloads.v2(table, inputs)
        else:
            payload, protocol = payloads.of_json(text, source, protocol)
        if deployment is None:
            answer = serving.client.send(name, "/", payload)
        else:
            answer = _asked(serving, deployment, payload, protocol, revision)
    found = answer.json()
    if session.json:
        out(json.dumps(found))
        return
    payloads.show(found)
    answered = answer.headers.get("x-millpond-revision")
    if answered:
        note(f"{answered} answered, the prediction's id is {answer.headers.get('x-request-id')}")


def _found(serving: Serving, name: str) -> tuple[Data | None, Data | None]:
    """The deployment, or else the graph of that name.

    Raises:
        MillpondError: it is neither a graph's nor a deployment's.
    """
    deployment = serving.look(name)
    if deployment is not None:
        return deployment, None
    graphs = {item["metadata"]["name"]: item for item in serving.client.graphs(None)}
    return (None, graphs[name]) if name in graphs else (serving.find(name), None)


def _first_service(serving: Serving, graph: Data) -> Data | None:
    """The first deployment that gets the request; None where that is another address, or is not there."""
    nodes = graph["spec"]["nodes"]
    step = nodes["root"]["steps"][0]
    while step.get("nodeName"):
        step = nodes[step["nodeName"]]["steps"][0]
    return serving.look(str(step.get("serviceName", "")))


def _protocol(service: Data | None) -> str:
    """What a graph's step speaks."""
    from millpond.serving.inferenceservice import prediction_path

    return "v2" if service is not None and prediction_path(service).startswith("/v2") else "v1"


def _inputs(serving: Serving, deployment: Data) -> list[Data]:
    """What the model's signature takes."""
    name, namespace = deployment["metadata"]["name"], deployment["metadata"]["namespace"]
    told = serving.client.send(name, f"/v2/models/{name}", namespace=namespace).json()
    found: list[Data] = told.get("inputs", [])
    return found


def _asked(
    serving: Serving, deployment: Data, payload: Any, protocol: str | None, revision: str | None
) -> Answer:
    """The answer of a deployment, or of one of its revisions.

    Raises:
        MillpondError: it is not the revision that was asked for.
    """
    from millpond.cli.serving import shares
    from millpond.model.errors import MillpondError

    name, namespace = deployment["metadata"]["name"], deployment["metadata"]["namespace"]
    path = f"/v1/models/{name}:predict" if protocol == "v1" else f"/v2/models/{name}/infer"
    live = [item["revisionName"] for item in shares(deployment)]
    if revision is not None and revision not in live:
        raise MillpondError(
            f"{revision} does not answer now", hint=f"these do: {', '.join(live)}" if live else None
        )
    headers = {} if revision is None else {_REVISION: revision}
    answer = serving.client.send(name, path, payload, headers=headers, namespace=namespace)
    answered = answer.headers.get("x-millpond-revision")
    if revision is not None and answered != revision:
        raise MillpondError(
            f"{answered} answered in place of {revision}", hint="a revision is chosen at the gateway"
        )
    return answer
