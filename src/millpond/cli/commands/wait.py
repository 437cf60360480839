"""``millpond wait``: for scripts that need a component to be ready."""

from __future__ import annotations

import asyncio

import click

from millpond.cli import completion
from millpond.cli.busy import busy
from millpond.cli.exit_codes import ExitCode
from millpond.cli.session import Session, file_option, pass_session, target_options
from millpond.cli.style import note, plural, seconds_text


@click.command("wait")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=completion.components)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    default=120.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for all of them together",
)
@file_option
@target_options
@pass_session
def command(session: Session, names: tuple[str, ...], timeout: float) -> None:
    """Wait until components are ready; all of them when none is named."""
    from millpond.model.errors import MillpondError

    target = session.target()

    def missing() -> str:
        wanted = set(names)
        return ", ".join(
            found.name
            for found in target.status()
            if found.state != "ready" and (not wanted or found.name in wanted)
        )

    async def wait() -> None:
        async with asyncio.timeout(timeout):
            await target.wait(names, timeout)

    try:
        with busy("waiting for", missing):
            asyncio.run(wait())
    except TimeoutError:
        raise MillpondError(
            f"not ready after {seconds_text(timeout)}: {missing()}",
            hint="`millpond status` says more; --timeout waits longer",
            exit_code=ExitCode.NOT_READY,
        ) from None
    count = len(names) or len(target.platform.nodes)
    note(
        f"{plural(count, 'component')} ready"
        if count != 1
        else f"{(*names, *target.platform.nodes)[0]} is ready"
    )
