"""The root command: the list of commands, told without importing any of them."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path

import click

from millpond import __version__
from millpond.cli.session import Session


@dataclass(frozen=True)
class Entry:
    """A command: where it is, and its line in the help."""

    section: str
    summary: str
    module: str
    hidden: bool = False


_PLATFORM = "Platform"
_LOOK = "Look and use"
_LAKE = "Lake"
_PIPELINES = "Pipelines"
_MODELS = "Models"
_KNOW = "Know"

COMMANDS: dict[str, Entry] = {
    "init": Entry(_PLATFORM, "Write a commented millpond.yaml", "init"),
    "up": Entry(_PLATFORM, "Bring the platform to the state that its flavour names", "up"),
    "plan": Entry(_PLATFORM, "Show what up would change", "plan"),
    "wait": Entry(_PLATFORM, "Wait until components are ready", "wait"),
    "restart": Entry(_PLATFORM, "Restart a component", "restart"),
    "down": Entry(_PLATFORM, "Stop the platform; its data is kept", "down"),
    "destroy": Entry(_PLATFORM, "Delete the platform with its data, after a question", "destroy"),
    "images": Entry(_PLATFORM, "Write, build or push the components' container images", "images"),
    "render": Entry(_PLATFORM, "Write the platform as YAML for a cluster", "render"),
    "cluster": Entry(_PLATFORM, "Make, start, stop and delete clusters on this machine", "cluster"),
    "status": Entry(_LOOK, "Show every component's state and address", "status"),
    "logs": Entry(_LOOK, "Show a component's log", "logs"),
    "open": Entry(_LOOK, "Open a component in the browser", "open"),
    "credentials": Entry(_LOOK, "Show the name and password to sign in with", "credentials"),
    "env": Entry(_LOOK, "Print the environment that user code finds", "env"),
    "shell": Entry(_LOOK, "Start a shell or a program in that environment", "shell"),
    "forward": Entry(_LOOK, "Forward a cluster's components to this machine", "forward"),
    "dashboard": Entry(_LOOK, "Lead to the Kubernetes dashboard of the cluster", "dashboard"),
    "why": Entry(_LOOK, "Say why a component is there, and who is wired to it", "why"),
    "repo": Entry(_LAKE, "Keep files under branches and commits", "repo"),
    "lineage": Entry(_LAKE, "Show where something comes from, and what came of it", "lineage"),
    "lake": Entry(_LAKE, "List, copy and delete files; users and their rights", "lake"),
    "dataset": Entry(_LAKE, "Tell of datasets, find them, publish them", "dataset"),
    "sql": Entry(_LAKE, "Ask the lake, its tables and the databases in one query", "sql"),
    "demo": Entry(_PIPELINES, "Bring up the starter platform and run a demo on it", "demo"),
    "run": Entry(_PIPELINES, "Run a pipeline on the platform", "run"),
    "pipeline": Entry(_PIPELINES, "Check, draw, run, cancel, resume and backfill pipelines", "pipeline"),
    "submit": Entry(_PIPELINES, "Send a pipeline to a platform elsewhere, and run it there", "submit"),
    "token": Entry(_PIPELINES, "Make and revoke tokens with which CI submits pipelines", "token"),
    "runs": Entry(_PIPELINES, "List the runs, or show one", "runs"),
    "deploy": Entry(_MODELS, "Serve a model, alone or as canary, shadow, arm or rollout", "deploy"),
    "deployments": Entry(_MODELS, "List what serves, or show one deployment", "deployments"),
    "predict": Entry(_MODELS, "Ask a deployment or a graph, with JSON or CSV", "predict"),
    "traffic": Entry(_MODELS, "Show or set the newest revision's share of the requests", "traffic"),
    "promote": Entry(_MODELS, "Give the newest revision all requests", "promote"),
    "rollback": Entry(_MODELS, "Go back to an earlier revision", "rollback"),
    "undeploy": Entry(_MODELS, "Stop deployments and forget them, after a question", "undeploy"),
    "rollout": Entry(_MODELS, "Show how far an automatic rollout is", "rollout"),
    "graph": Entry(_MODELS, "Apply, list and delete inference graphs", "graph"),
    "compare": Entry(_MODELS, "Hold a shadow's answers against the others'", "compare"),
    "experiment": Entry(_MODELS, "Show an A/B experiment's outcome", "experiment"),
    "feedback": Entry(_MODELS, "Tell what became of a prediction", "feedback"),
    "drift": Entry(_MODELS, "Show what changed in what comes in and goes out", "drift"),
    "report": Entry(_MODELS, "Show where a deployment's page is, or save it", "report"),
    "doctor": Entry(_KNOW, "Check this machine, and say how to mend what is wrong", "doctor"),
    "catalogue": Entry(_KNOW, "List the components, or show one with its options", "catalogue"),
    "policies": Entry(_KNOW, "List the policies of clusters, show one, or check manifests", "policies"),
    "flavours": Entry(_KNOW, "List the flavours that ship with Millpond", "flavours"),
    "version": Entry(_KNOW, "Print the versions of Millpond and what it stands on", "version"),
    "completion": Entry(_KNOW, "Print the completion script for a shell", "completion"),
    "help": Entry(_KNOW, "Show the help of a command, or of exit-codes", "help"),
    "datamill": Entry(_PLATFORM, "Carry out the flags of Data-Mill's run.sh", "datamill", hidden=True),
}


class Root(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names that the help shows."""
        return [name for name, entry in COMMANDS.items() if not entry.hidden]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module = import_module(f"millpond.cli.commands.{entry.module}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is meant; for one that is not there, the nearest."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            close = get_close_matches(name, self.list_commands(ctx), n=1, cutoff=0.5)
            error = click.UsageError(f"there is no command {name}", ctx)
            error.hint = (  # type: ignore[attr-defined] # read by entry.py
                f"did you mean millpond {close[0]}?" if close else "`millpond --help` lists the commands"
            )
            raise error
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands by section, in the order of use."""
        for section in (_PLATFORM, _LOOK, _LAKE, _PIPELINES, _MODELS, _KNOW):
            with formatter.section(section):
                formatter.write_dl(
                    [
                        (name, entry.summary)
                        for name, entry in COMMANDS.items()
                        if entry.section == section and not entry.hidden
                    ],
                    col_max=14,
                )


def _version(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        click.echo(f"millpond {__version__}")
        context.exit()


@click.group(
    cls=Root,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: millpond help exit-codes. Colour: NO_COLOR and FORCE_COLOR are respected.",
    invoke_without_command=True,
)
@click.option(
    "-C",
    "folder",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Work as if started in this folder",
)
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_version, help="Print the version"
)
@click.pass_context
def root(context: click.Context, folder: Path | None) -> None:
    """One file turns into a working data-science platform.

    New here? `millpond demo flights`, or `millpond init` and then `millpond up`.
    """
    session = context.ensure_object(Session)
    if folder is not None:
        session.folder = folder.resolve()
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
