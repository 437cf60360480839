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
    graph = _graph(serving, name)
    if graph is not None and revision is not None:
        raise UsageError(f"{name} is a graph and has no revisions", hint="ask the deployment itself")
    with busy(f"asking {name}"):
        if csv is not None:
            table = payloads.table(text, source)
            first = name if graph is None else _first_service(graph)
            inputs = [] if first is None else _inputs(serving, first)
            protocol = protocol or ("v2" if graph is None else _protocol(serving, first))
            payload = payloads.v1(table, inputs) if protocol == "v1" else payloads.v2(table, inputs)
        else:
            payload, protocol = payloads.of_json(text, source, protocol)
        answer = _asked(serving, name, payload, protocol if graph is None else "graph", revision)
    found = answer.json()
    if session.json:
        out(json.dumps(found))
        return
    payloads.show(found)
    answered = answer.headers.get("x-millpond-revision")
    if answered:
        note(f"{answered} answered, the prediction's id is {answer.headers.get('x-request-id')}")


def _graph(serving: Serving, name: str) -> dict[str, Any] | None:
    """The graph of that name; None when it is a deployment's.

    Raises:
        MillpondError: it is neither a graph's nor a deployment's.
    """
    if serving.look(name) is not None:
        return None
    graphs = serving.client.graphs(None)
    found = next((item for item in graphs if item["metadata"]["name"] == name), None)
    return found if found is not None else serving.find(name)


def _first_service(graph: dict[str, Any]) -> str | None:
    """The first deployment that gets the request; None where that is another address."""
    nodes = graph["spec"]["nodes"]
    step = nodes["root"]["steps"][0]
    while step.get("nodeName"):
        step = nodes[step["nodeName"]]["steps"][0]
    service: str | None = step.get("serviceName")
    return service


def _protocol(serving: Serving, service: str | None) -> str:
    """What a graph's step speaks, by KServe's rule: the document says it, else the model's format."""
    found = None if service is None else serving.look(service)
    if found is None:
        return "v1"
    model = found["spec"]["predictor"]["model"]
    said = model.get("protocolVersion") or ("v2" if model["modelFormat"]["name"] == "mlflow" else "v1")
    return "v1" if said == "v1" else "v2"


def _inputs(serving: Serving, name: str) -> list[dict[str, Any]]:
    """What the model's signature takes."""
    found: list[dict[str, Any]] = serving.client.send(name, f"/v2/models/{name}").json().get("inputs", [])
    return found


def _asked(serving: Serving, name: str, payload: Any, protocol: str, revision: str | None) -> Any:
    from millpond.cli.serving import shares
    from millpond.model.errors import MillpondError

    paths = {"v1": f"/v1/models/{name}:predict", "v2": f"/v2/models/{name}/infer", "graph": "/"}
    headers = {} if revision is None else {_REVISION: revision}
    live = [] if revision is None else [item["revisionName"] for item in shares(serving.find(name))]
    if revision is not None and revision not in live:
        raise MillpondError(
            f"{revision} does not answer now", hint=f"these do: {', '.join(live)}" if live else None
        )
    answer = serving.client.send(name, paths[protocol], payload, headers=headers)
    answered = answer.headers.get("x-millpond-revision")
    if revision is not None and answered != revision:
        raise MillpondError(
            f"{answered} answered in place of {revision}", hint="a revision is chosen at the gateway"
        )
    return answer
