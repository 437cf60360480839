"""What every command starts from: the folder, the flavour file in it, and the platform that it names."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from millpond.flavours.loader import Source
    from millpond.targets.local.target import LocalTarget
    from millpond.targets.local.workspace import Workspace

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass
class Session:
    """One call of the command line.

    Args:
        folder: where to look for the flavour file.
        file: the flavour file, when it was named.
        json: whether a script reads the answer.
    """

    folder: Path
    file: str | None = None
    json: bool = False

    def path(self) -> Path:
        """The flavour file.

        Raises:
            MillpondError: there is none.
        """
        from millpond.flavours import loader
        from millpond.model.errors import MillpondError

        if self.file is None:
            return loader.find(self.folder)
        path = self.folder / Path(self.file).expanduser()
        if path.is_dir():
            path = path / loader.FILE
        if not path.is_file():
            raise MillpondError(
                f"there is no flavour file {self.file}",
                hint="`millpond flavours` lists those that ship, `millpond init NAME` writes one here",
                exit_code=3,
            )
        return path

    def source(self) -> Source:
        """The flavour, read and checked."""
        from millpond.flavours import loader

        return loader.read(self.path())

    def workspace(self) -> Workspace:
        """The platform's folders, also where its flavour file is wrong."""
        from millpond.targets.local.workspace import Workspace

        return Workspace(self.path().parent)

    def target(self, new_ports: Iterable[str] = (), source: Source | None = None) -> LocalTarget:
        """The platform on this machine."""
        from millpond.model.errors import MillpondError, did_you_mean
        from millpond.targets.local.target import LocalTarget

        found = source or self.source()
        if found.flavour.target != "local":
            raise MillpondError(
                f"{found.path.name} wants the target {found.flavour.target}, which is not there yet",
                hint="set target: local",
            )
        catalogue = found.catalogue()
        platform = found.resolve(catalogue)
        for name in new_ports:
            if name not in platform.nodes:
                raise MillpondError(
                    f"no component of this platform is called {name}", hint=did_you_mean(name, platform.nodes)
                )
        return LocalTarget(platform, catalogue, found.project, new_ports)


pass_session = click.make_pass_decorator(Session)


def _set(name: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    def callback(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
        if value:
            setattr(context.ensure_object(Session), name, value)
        return value

    return callback


def json_option(function: Function) -> Function:
    """``--json``, for scripts."""
    option = click.option(
        "--json", is_flag=True, expose_value=False, is_eager=True, callback=_set("json"), help="Print JSON"
    )
    return option(function)


def file_option(function: Function) -> Function:
    """``-f FLAVOUR``, for platforms whose file is not millpond.yaml."""
    return _file_option("-f", "--file")(function)


def long_file_option(function: Function) -> Function:
    """``--file FLAVOUR`` alone, where ``-f`` means something else."""
    return _file_option("--file")(function)


def _file_option(*names: str) -> Callable[[Function], Function]:
    return click.option(
        *names,
        "flavour_file",
        metavar="FLAVOUR",
        expose_value=False,
        is_eager=True,
        callback=_set("file"),
        help="The flavour file, where it is not millpond.yaml of this folder or one above",
    )
