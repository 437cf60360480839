"""The command line and its exit codes, from click's own objects."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

from millpond.cli.exit_codes import ExitCode
from millpond.cli.root import COMMANDS, root
from millpond.flavours.datamill.flags import USAGE
from reference.markdown import anchor, code, table

HELP = ("-h", "--help")


def page() -> str:
    """Every command with its arguments and options."""
    context = click.Context(root, info_name="millpond")
    found = ["# Command line", "", "```text", "millpond [-C DIR] COMMAND [ARGUMENT]...", "```", ""]
    found += [
        "Data goes to standard output, all else to standard error. `--json` prints one JSON document,",
        "`up --json` one line per event. Colour: `NO_COLOR` turns it off, `FORCE_COLOR` on. How commands",
        "end:  [exit codes](exit-codes.md).",
        "",
        _options(root, context),
        "",
        "Every command takes `-h` and `--help`.",
        "",
    ]
    sections = dict.fromkeys(entry.section for entry in COMMANDS.values() if not entry.hidden)
    for section in sections:
        found += [f"**{section}**", ""]
        found.append(
            table(
                ("command", "what it does"),
                [
                    (f"[`millpond {name}`](#{anchor(f'millpond {name}')})", entry.summary)
                    for name, entry in COMMANDS.items()
                    if entry.section == section and not entry.hidden
                ],
            )
        )
        found.append("")
    for name in COMMANDS:
        command = root.get_command(context, name)
        assert command is not None
        for part in _command(command, click.Context(command, info_name=name, parent=context)):
            found += [part, ""]
    return "\n".join(found)


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    path = context.command_path
    yield f"## {path}"
    yield f"```text\n{' '.join([path, *command.collect_usage_pieces(context)])}\n```"
    yield _help(command)
    if any(True for _ in _shown(command)):
        yield _options(command, context)
    if command.name == "datamill":
        yield "`./run.sh` of the checkout hands its words on to this command."
        yield f"```text\n{USAGE.rstrip()}\n```"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _command(inner, click.Context(inner, info_name=name, parent=context))


def _help(command: click.Command) -> str:
    """The help text; paragraphs that are not to be wrapped become code."""
    found = []
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        if paragraph.startswith("\b"):
            found.append(f"```text\n{paragraph.removeprefix(chr(8)).strip(chr(10))}\n```")
        else:
            found.append(" ".join(paragraph.split()))
    return "\n\n".join(found)


def _shown(command: click.Command) -> Iterator[click.Option]:
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            yield parameter


def _options(command: click.Command, context: click.Context) -> str:
    rows = []
    for option in _shown(command):
        names = ", ".join(code(name) for name in [*option.opts, *option.secondary_opts])
        takes = "" if option.is_flag else code(option.make_metavar(context))
        text = option.help or ""
        if option.show_default and option.default is not None:
            text += f"; {code(option.default)} when left out"
        rows.append((names, takes, text))
    return table(("option", "takes", "meaning"), rows)


def exit_codes() -> str:
    """What the exit code of every command means."""
    rows = [(str(found.value), found.meaning) for found in ExitCode]
    return "\n".join(
        [
            "# Exit codes",
            "",
            "`millpond help exit-codes` prints this table. With `--json`, an error is one JSON document",
            "on standard output, with `error`, `message`, and `hint` and `details` where there are any.",
            "",
            table(("code", "meaning"), rows),
            "",
            "`millpond shell NAME PROGRAM` ends as the program does; 127 when there is no such program,",
            "126 when it cannot be started.",
        ]
    )
