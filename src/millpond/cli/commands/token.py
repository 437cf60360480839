"""``millpond token``: tokens with which programs elsewhere submit pipelines to this platform."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING

import click

from millpond.cli.session import Session, file_option, json_option, pass_session
from millpond.cli.style import columns, faint, hint, note, out

if TYPE_CHECKING:
    from millpond.pipelines.server.client import PipelineService

_PERIOD = re.compile(r"(\d+)([hdw])")
_DAYS = {"h": 1 / 24, "d": 1.0, "w": 7.0}


@click.group("token")
def command() -> None:
    """Make, list and revoke the tokens with which programs submit pipelines: CI, above all.

    Whoever has a token can run any code on the platform, under the names of pipelines that it is for.
    """


@command.command("create")
@click.argument("name")
@click.option("--pipeline", "pipelines", multiple=True, metavar="PATTERN", help="Only for such pipelines")
@click.option("--expires", metavar="PERIOD", help="Worthless after a time: 12h, 90d, 8w; else never")
@file_option
@json_option
@pass_session
def create(session: Session, name: str, pipelines: tuple[str, ...], expires: str | None) -> None:
    """Make a token called NAME, and print it. It is kept as a digest only: nothing can show it again."""
    service, address = _service(session)
    token = service.mint(name, list(pipelines), _days(expires))
    if session.json:
        out(json.dumps({"name": name, "token": token, "endpoint": address}))
        return
    out(token)
    note("it is shown this once; keep it with the secrets of your CI, as MILLPOND_TOKEN")
    hint(f"`millpond submit PIPELINE --endpoint {address}` submits with it")


@command.command("list")
@file_option
@json_option
@pass_session
def list_(session: Session) -> None:
    """List the tokens: what each is for, when it was used last, when it expires."""
    service, _ = _service(session)
    found = service.tokens()
    if session.json:
        out(json.dumps(found))
        return
    if not found:
        note("there are no tokens")
        hint("`millpond token create ci` makes one")
        return
    rows = [
        (
            token["name"],
            ", ".join(token["pipelines"]),
            _day(token["created"]),
            _day(token["used"]) or "never",
            _day(token["expires"]) or "never",
        )
        for token in found
    ]
    for line in columns(rows, heads=("NAME", "PIPELINES", "MADE", "USED", "EXPIRES"), paints={2: faint}):
        out(line)


@command.command("revoke")
@click.argument("name")
@file_option
@json_option
@pass_session
def revoke(session: Session, name: str) -> None:
    """Make the token NAME worthless, at once. Runs that it started go on."""
    service, _ = _service(session)
    service.revoke(name)
    if session.json:
        out(json.dumps({"revoked": name}))
    else:
        note(f"revoked {name}")


def _service(session: Session) -> tuple[PipelineService, str]:
    """The component of this folder's platform, as its owner, and its address for others."""
    from millpond.cli.exit_codes import ExitCode
    from millpond.model.errors import MillpondError
    from millpond.pipelines.handover.engine import COMPONENTS, engine_of
    from millpond.pipelines.handover.millpond import Millpond

    target = session.local_target()
    nodes = target.platform.nodes
    node = next(
        (name for name, found in nodes.items() if found.component.name == COMPONENTS["millpond"]), None
    )
    if node is None:
        raise MillpondError(
            "the platform takes no pipelines from elsewhere",
            hint="add the component pipelines to the flavour, then `millpond up`",
        )
    states = {found.name: found.state for found in target.status()}
    if states.get(node) != "ready":
        raise MillpondError(
            f"the component {node} is {states.get(node, 'not there')}",
            hint="`millpond up` brings it up",
            exit_code=ExitCode.NOT_READY,
        )
    engine = engine_of(target.environment({"workflow": node}), "millpond")
    assert isinstance(engine, Millpond)
    return engine.service, (target.url(node) or engine.service.endpoint).rstrip("/")


def _days(text: str | None) -> float | None:
    if text is None:
        return None
    found = _PERIOD.fullmatch(text)
    if found is None or found[1] == "0":
        raise click.UsageError(f"{text} is no period; 12h, 90d and 8w are")
    return int(found[1]) * _DAYS[found[2]]


def _day(seconds: float | None) -> str:
    return "" if seconds is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
