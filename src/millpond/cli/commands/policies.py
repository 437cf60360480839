"""``millpond policies``: what no object of a platform may do on a cluster."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from millpond.cli.session import Session, file_option, json_option, pass_session
from millpond.cli.style import columns, faint, hint, out, paint, strong

if TYPE_CHECKING:
    from millpond.model.cluster import Policies
    from millpond.targets.kubernetes.bundle import Object
    from millpond.targets.kubernetes.policies import Policy


@click.command("policies")
@click.argument("words", metavar="[NAME | check FILE…]", nargs=-1)
@file_option
@json_option
@pass_session
def command(session: Session, words: tuple[str, ...]) -> None:
    """List the policies and whether each holds here, show policy NAME, or check any manifests.

    `millpond policies check FILE…` asks every policy that holds about the objects of YAML files and folders.
    Where no flavour is found, those hold that need to be told nothing. Nothing is asked of a cluster.
    """
    told = _told(session)
    if words and words[0] == "check":
        _check(session, told, words[1:])
    elif len(words) > 1:
        raise click.UsageError("one policy at a time, or `millpond policies check FILE…`")
    elif words:
        _show(session, told, words[0])
    else:
        _list(session, told)


def _told(session: Session) -> Policies:
    from millpond.model.cluster import Policies
    from millpond.model.errors import MillpondError

    try:
        session.locate()
    except MillpondError:
        if session.file is not None:
            raise
        return Policies()
    return session.source().flavour.policies


def as_dict(policy: Policy, told: Policies) -> dict[str, Any]:
    """What ``--json`` prints of a policy."""
    return {
        "name": policy.name,
        "group": policy.group,
        "title": policy.title,
        "why": policy.why,
        "fix": policy.fix,
        "kinds": list(policy.all_kinds),
        "holds": policy.holds(told),
        "shipped": policy.shipped,
        "parameter": policy.parameter.model_dump() if policy.parameter else None,
        "values": policy.values(told),
    }


def _list(session: Session, told: Policies) -> None:
    from millpond.targets.kubernetes.policies import holding, policies

    holding(told)  # names that are mistyped are told here too
    found = list(policies().values())
    if session.json:
        out(json.dumps([as_dict(each, told) for each in found]))
        return
    rows = [(each.name, _state(each, told), each.title) for each in found]
    for line in columns(rows, heads=("NAME", "HOLDS", "ASKS"), paints={0: strong}):
        out(line)
    hint("`millpond policies NAME` shows its rule and two examples")


def _state(policy: Policy, told: Policies) -> str:
    if policy.holds(told):
        return "yes"
    if policy.name in told.skip:
        return "skipped"
    return f"without {policy.parameter.asked}" if policy.parameter else "no"


def _show(session: Session, told: Policies, name: str) -> None:
    from millpond.targets.kubernetes.policies import policy

    found = policy(name)
    allowed, refused = (
        (found.folder / file).read_text().strip() for file in ("allowed.yaml", "refused.yaml")
    )
    if session.json:
        more = {"rego": found.rego, "cel": found.cel, "allowed": allowed, "refused": refused}
        out(json.dumps({**as_dict(found, told), **more}))
        return
    out(f"{strong(found.name)}  {found.title}")
    out()
    for text in (found.why, f"Instead: {found.fix}."):
        for line in textwrap.wrap(text, 88, initial_indent="  ", subsequent_indent="  "):
            out(line)
    out()
    facts = [
        ("group", found.group),
        ("kinds", ", ".join(found.all_kinds)),
        ("holds here", _state(found, told)),
    ]
    if found.parameter:
        given = ", ".join(found.values(told)[found.parameter.name]) or "nothing"
        key = found.parameter.asked or f"allow: {found.parameter.name}"
        facts += [("told by", f"policies: {key} ({found.parameter.help})"), ("told here", given)]
    for line in columns(facts, paints={0: faint}):
        out(f"  {line}")
    for title, text in (("Rego", found.rego), ("CEL", found.cel), ("Allowed", allowed), ("Refused", refused)):
        out()
        out(strong(title))
        out(textwrap.indent(text.strip().expandtabs(4), "  "))


def _check(session: Session, told: Policies, files: tuple[str, ...]) -> None:
    from millpond.model.errors import UsageError
    from millpond.targets.kubernetes.policies import PolicyError, violations

    if not files:
        raise UsageError("there is nothing to check", hint="`millpond policies check FILE…`")
    objects = [each for file in files for each in _read(Path(file))]
    found = violations(objects, told)
    if session.json:
        out(json.dumps([each.as_dict() for each in found]))
        if found:
            raise click.exceptions.Exit(PolicyError.exit_code)
        return
    for each in found:
        out(f"{paint('refused', 'fail')}  {each}")
        out(faint(f"         {each.policy.fix}"))
    if found:
        raise click.exceptions.Exit(PolicyError.exit_code)
    out(f"{len(objects)} objects, nothing is refused")


def _read(path: Path) -> list[Object]:
    """The objects of a file, or of all YAML files of a folder; those of a List one by one."""
    import yaml

    from millpond.model.errors import MillpondError, UsageError

    if path.is_dir():
        files = sorted(each for each in path.rglob("*") if each.suffix in {".yaml", ".yml", ".json"})
        return [each for file in files for each in _read(file)]
    try:
        documents = list(yaml.safe_load_all(path.read_text()))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise MillpondError(f"{path} is no YAML: {' '.join(str(error).split())}", exit_code=3) from None
    found: list[Object] = []
    for document in documents:
        if isinstance(document, dict) and "kind" in document:
            found += document.get("items") or [] if document["kind"].endswith("List") else [document]
    return found
