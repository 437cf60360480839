"""``millpond deploy``: a model behind an address, alone or beside the one that serves."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from millpond.cli import completion
from millpond.cli.manner import Manner, manner_options
from millpond.cli.session import Session, json_option, long_file_option, pass_session
from millpond.cli.style import warn

if TYPE_CHECKING:
    from millpond.cli.serving import Serving

_FORMATS = ("mlflow", "sklearn", "xgboost", "lightgbm", "onnx", "pytorch", "keras", "python")
# What an option that can stand alone takes; anything else behind it is the command's argument.
_VALUES = {
    "--shadow": re.compile(r"\d+\Z"),
    "--ab": re.compile(r"\d+\Z"),
    "--rollout": re.compile(r"\d+(,\d+)*\Z|\{"),
}


class _Deploy(click.Command):
    """Takes the word behind ``--shadow`` for MODEL when it is no percentage."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, self.spelled_out(args))

    def spelled_out(self, args: list[str]) -> list[str]:
        """The words with a value behind each option that stands alone."""
        alone = {
            name: parameter.flag_value
            for parameter in self.params
            if isinstance(parameter, click.Option)
            for name in parameter.opts
            if name in _VALUES
        }
        found = list(args)
        for index, word in enumerate(found):
            if word == "--":
                break
            if word in alone and not _VALUES[word].match((found[index + 1 :] or [""])[0]):
                found[index] = f"{word}={alone[word]}"
        return found


@click.command("deploy", cls=_Deploy)
@click.argument("model", required=False)
@click.option("--name", metavar="NAME", shell_complete=completion.deployments, help="The deployment's name")
@click.option(
    "-f",
    "--filename",
    "document",
    metavar="FILE",
    help="Apply the documents of this file; - reads standard input",
)
@click.option(
    "--format",
    "model_format",
    type=click.Choice(_FORMATS),
    help="What wrote the model; mlflow for a new deployment, else what it was",
)
@click.option(
    "--image",
    metavar="IMAGE",
    help="On a cluster: what its pods run, such as the image that `millpond images` makes",
)
@click.option(
    "--canary", type=click.IntRange(0, 99), metavar="PERCENT", help="Give it this share of the requests"
)
@click.option(
    "--shadow",
    is_flag=False,
    flag_value=100,
    type=click.IntRange(1, 100),
    metavar="[PERCENT]",
    help="Give it copies of the requests, or of this share; it answers nobody",
)
@click.option(
    "--ab",
    is_flag=False,
    flag_value=50,
    type=click.IntRange(1, 99),
    metavar="[PERCENT]",
    help="Make it an experiment's other arm, with half of the clients or this share",
)
@click.option(
    "--rollout",
    is_flag=False,
    flag_value="{}",
    metavar="[STEPS]",
    help="Give it the requests by itself, in the steps 5,25,50,100 or these; JSON says more",
)
@click.option(
    "--sticky", metavar="cookie|header:NAME", help="By what a client stays with the revision that it met"
)
@click.option(
    "--canary-header", metavar="NAME[=VALUE]", help="A header by which a request asks for the newest revision"
)
@click.option(
    "--min", "least", type=click.IntRange(0, 100), metavar="N", help="The least processes; 0 sleeps"
)
@click.option("--max", "most", type=click.IntRange(1, 100), metavar="N", help="The most processes")
@click.option("--log/--no-log", default=None, help="Note all predictions in the lake, or no more")
@manner_options
@long_file_option
@json_option
@pass_session
def command(
    session: Session, /, manner: Manner, document: str | None, model: str | None, **given: Any
) -> None:
    """Serve MODEL as the deployment NAME, in place of what it serves or beside it.

    MODEL is models:/NAME@ALIAS, models:/NAME/VERSION, runs:/ID/PATH, s3://BUCKET/PATH or a folder. A new
    revision takes requests when it answers, and not before; one that does not load changes nothing. What is
    applied is written to deployments/NAME.yaml.

    \b
    millpond deploy models:/flights@champion --name flights
    millpond deploy models:/flights/8 --name flights --canary 10
    millpond deploy -f deployments/flights.yaml
    """
    from millpond.cli.deploying import apply_file, show
    from millpond.cli.serving import Serving, shares
    from millpond.model.errors import UsageError

    if document is not None and (model is not None or given["name"] is not None):
        raise UsageError("a file has the model and the name in it", hint="leave MODEL and --name out with -f")
    if document is None and model is None:
        raise UsageError("neither MODEL nor -f FILE was given", hint="`millpond deploy --help` shows both")
    if document is None and given["name"] is None:
        raise UsageError("--name is missing", hint="millpond deploy MODEL --name NAME")
    if document is not None:
        apply_file(Serving(session), document, manner)
        return
    _check(given)
    serving = Serving(session)
    found = serving.change(_edited(serving, str(model), given), manner)
    show(serving, found)
    if found is not None and manner.wait is not None and len(shares(found)) < 2:
        _alone(given)


def _check(given: dict[str, Any]) -> None:
    """Options that exclude or need each other."""
    from millpond.model.errors import UsageError

    modes = [name for name in ("canary", "shadow", "ab", "rollout") if given[name] is not None]
    if len(modes) > 1:
        raise UsageError(f"--{modes[0]} and --{modes[1]} exclude each other", hint="give one of them")
    if given["sticky"] is not None and modes not in (["canary"], ["ab"], ["rollout"]):
        raise UsageError(
            "--sticky needs two revisions that answer", hint="give it with --canary, --ab or --rollout"
        )
    if given["canary_header"] is not None and modes != ["canary"]:
        raise UsageError("--canary-header needs a canary", hint="give it with --canary PERCENT, 0 is one")


def _alone(given: dict[str, Any]) -> None:
    """Say that a second revision was asked for and is none."""
    mode = next((word for word in ("canary", "shadow", "ab", "rollout") if given[word] is not None), None)
    if mode is not None:
        warn(f"it serves this model already, so --{mode} put nothing beside it")


def _edited(serving: Serving, model: str, given: dict[str, Any]) -> dict[str, Any]:
    """The document that the options ask for."""
    from millpond.cli.serving import shares, unknown
    from millpond.model.errors import MillpondError
    from millpond.serving import edits

    name, uri = given["name"], _uri(serving, model)
    every = {item["metadata"]["name"]: item for item in serving.client.list(None)}
    found = every.get(name)
    beside = next(
        (f"--{word}" for word in ("canary", "shadow", "ab", "rollout") if given[word] is not None), None
    )
    if beside is not None and (found is None or not shares(found)):
        error = unknown(name, list(every))
        close = error.hint if error.hint and error.hint.startswith("did you mean") else None
        raise MillpondError(
            f"there is nothing yet that {model} could stand beside: {name} does not serve",
            hint=close or f"leave {beside} out, the first revision gets all requests",
        )
    base = serving.files.read(name)
    if base is None:
        base = edits.plain(found) if found is not None else edits.new(name, uri)
    document = edits.with_model(base, uri, given["model_format"])
    if given["image"] is not None:
        document["spec"]["predictor"]["model"]["image"] = given["image"]
    document = _placed(document, name, given)
    predictor = document["spec"]["predictor"]
    for key, value in (("minReplicas", given["least"]), ("maxReplicas", given["most"])):
        if value is not None:
            predictor[key] = value
    if given["log"]:
        predictor.setdefault("logger", {"mode": "all"})
    elif given["log"] is False:
        predictor.pop("logger", None)
    return document


def _placed(document: dict[str, Any], name: str, given: dict[str, Any]) -> dict[str, Any]:
    """The newest revision alone, or beside the other in the way that was asked for."""
    from millpond.serving import edits

    sticky = given["sticky"]
    if given["canary"] is not None:
        return edits.canary(document, given["canary"], sticky=sticky, header=given["canary_header"])
    if given["shadow"] is not None:
        return edits.shadow(document, given["shadow"])
    if given["ab"] is not None:
        return edits.experiment(document, name, given["ab"], sticky or "cookie")
    if given["rollout"] is not None:
        return edits.rollout(document, _plan(given["rollout"]), sticky)
    return edits.alone(document)


def _plan(text: str) -> Any:
    from millpond.model.errors import UsageError
    from millpond.serving.annotations import Rollout

    asked = text if text.startswith("{") else f'{{"steps": [{text}]}}'
    try:
        return Rollout.of(asked)
    except ValueError as error:
        hint = 'such as 10,50,100, or \'{"steps": [10, 100], "interval": "5m", "requests": 500}\''
        raise UsageError(f"--rollout: {error}", hint=hint) from None


def _uri(serving: Serving, model: str) -> str:
    """The model's place as the controller takes it: a folder with its whole path."""
    if re.match(r"[a-z0-9-]+:/", model):
        return model
    folder = serving.session.folder / Path(model).expanduser()
    return str(folder.resolve()) if folder.exists() else model
