"""Every `millpond …` in the pages is a command that there is, with flags that it has."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click
import pytest

from docs.pages import PAGES, Page
from millpond.cli.root import root

_INLINE = re.compile(r"`((?:millpond|\./bootstrap) [^`\n]+)`")
_CALL = re.compile(r"(?:^|[\s($\"])((?:millpond|\./bootstrap|\./run\.sh)(?: [^|&;)\n]*)?)")


def calls(found: Page) -> Iterator[str]:
    """What the page calls, in shell blocks and inline."""
    for block in found.blocks:
        if block.language in ("sh", "console"):
            text = block.text.replace("\\\n", " ")
            for line in text.splitlines():
                shown = re.sub(r"(?:^|\s)#.*", "", line).removeprefix("$ ")
                if block.language == "console" and not line.startswith("$ "):
                    continue
                yield from (match.strip() for match in _CALL.findall(shown))
    yield from _INLINE.findall(found.prose)


CALLS = sorted({(found.name, call) for found in PAGES for call in calls(found) if "…" not in call})


def test_there_are_some() -> None:
    assert len(CALLS) > 40


@pytest.mark.parametrize(("name", "call"), CALLS)
def test_a_call_can_be_made(name: str, call: str) -> None:
    words = shlex.split(re.sub(r"\s[\[{(].*", "", call), comments=True)
    program, arguments = words[0], words[1:]
    if program == "./run.sh":
        from millpond.flavours.datamill.flags import parse

        parse(arguments)
        return
    if program == "./bootstrap" and arguments[:1] == ["test"]:
        return
    command: click.Command = root
    context = click.Context(root, info_name="millpond")
    arguments = arguments[2:] if arguments[:1] == ["-C"] else arguments
    while isinstance(command, click.Group) and arguments and not arguments[0].startswith("-"):
        if arguments[0].isupper():
            return
        inner = command.get_command(context, arguments[0])
        if inner is None and command is not root:
            break
        assert inner is not None, f"{name}: there is no {' '.join(words[:2])}"
        context = click.Context(inner, info_name=arguments.pop(0), parent=context)
        command = inner
    spelled_out = getattr(command, "spelled_out", list)
    if command.name != "datamill":
        # Raises where an option is not one of the command's, or lacks its value.
        command.make_parser(context).parse_args(spelled_out(arguments))


def test_what_is_not_a_command_is_found() -> None:
    with pytest.raises(AssertionError, match="there is no"):
        test_a_call_can_be_made("nowhere", "millpond fly")
    with pytest.raises(click.NoSuchOption):
        test_a_call_can_be_made("nowhere", "millpond up --fast")
