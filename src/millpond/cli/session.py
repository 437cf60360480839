"""What every command starts from: the folder, the flavour file in it, and the platform that it names."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from millpond.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from millpond.flavours.loader import Source
    from millpond.targets.kubernetes.target import KubernetesTarget
    from millpond.targets.local.target import LocalTarget
    from millpond.targets.local.workspace import Workspace

_NOTED = "flavour"
_CHOSEN = "target.json"
Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass
class Session:
    """One call of the command line.

    Args:
        folder: where to look for the flavour file.
        file: the flavour file, when it was named.
        json: whether a script reads the answer.
        state: the folder that has the platform's state, where that is not the flavour file's.
        chosen: the target that ``--target`` names.
        context: the kubeconfig's context that ``--context`` names.
        namespace: the namespace that ``--namespace`` names.
    """

    folder: Path = field(default_factory=Path.cwd)
    file: str | None = None
    json: bool = False
    state: Path | None = None
    chosen: str | None = None
    context: str | None = None
    namespace: str | None = None

    def locate(self) -> tuple[Path, Path]:
        """The flavour file, and the folder that has the platform's state.

        Without ``-f`` that is the nearest ``millpond.yaml``, or what ``up -f`` was last given there.

        Raises:
            MillpondError: there is none.
        """
        from millpond.flavours import loader
        from millpond.model.errors import MillpondError

        if self.file is not None:
            path = self.folder / Path(self.file).expanduser()
            if path.is_dir():
                path = path / loader.FILE
            if path.is_file():
                return path, self.state or path.parent
            shipped = loader.SHIPPED / f"{self.file}.yaml"
            if "/" not in self.file and shipped.is_file():
                return shipped, self.folder
            raise MillpondError(
                f"there is no flavour file {self.file}",
                hint="`millpond flavours` lists those that ship, `millpond init NAME` writes one here",
                exit_code=ExitCode.DOCUMENT,
            )
        for folder in (self.folder, *self.folder.parents):
            if (folder / loader.FILE).is_file():
                return folder / loader.FILE, folder
            noted = folder / ".millpond" / _NOTED
            if noted.is_file() and Path(noted.read_text().strip()).is_file():
                return Path(noted.read_text().strip()), folder
        return loader.find(self.folder), self.folder

    def remember(self) -> None:
        """Note which flavour file the platform came from, where that is not millpond.yaml."""
        from millpond.flavours import loader
        from millpond.targets.local.workspace import Workspace

        path, project = self.locate()
        noted = project / ".millpond" / _NOTED
        if path != project / loader.FILE:
            Workspace(project).create()
            noted.write_text(f"{path.resolve()}\n")
        choice = self._choice()
        if choice:
            Workspace(project).create()
            (project / ".millpond" / _CHOSEN).write_text(json.dumps(choice) + "\n")

    def forget_target(self) -> None:
        """The folder's platform is again where its flavour says."""
        (self.locate()[1] / ".millpond" / _CHOSEN).unlink(missing_ok=True)

    def _choice(self) -> dict[str, str]:
        """What this call says of the target; ``--context`` and ``--namespace`` mean a cluster."""
        found = {"target": self.chosen, "context": self.context, "namespace": self.namespace}
        if self.chosen is None and (self.context or self.namespace):
            found["target"] = "kubernetes"
        return {key: value for key, value in found.items() if value}

    def _remembered(self, project: Path) -> dict[str, str]:
        """What `up` was last told in this folder; whoever says --target starts anew."""
        given = self._choice()
        if self.chosen:
            return given
        try:
            noted = json.loads((project / ".millpond" / _CHOSEN).read_text())
        except (OSError, ValueError):
            noted = {}
        return {**noted, **given}

    def source(self) -> Source:
        """The flavour, read and checked, with the target that was chosen for it."""
        from millpond.flavours import loader

        path, project = self.locate()
        found = replace(loader.read(path), folder=project)
        choice = self._remembered(project)
        if not choice:
            return found
        where: dict[str, Any] = {key: choice[key] for key in ("context", "namespace") if key in choice}
        flavour = found.flavour.model_copy(
            update={
                "target": choice.get("target", found.flavour.target),
                "kubernetes": found.flavour.kubernetes.model_copy(update=where),
            }
        )
        return replace(found, flavour=flavour)

    def on_cluster(self) -> bool:
        """Whether the folder's platform is on a cluster; a flavour that cannot be read is not."""
        from millpond.model.errors import MillpondError

        choice = self._remembered(self.locate()[1]).get("target")
        if choice:
            return choice == "kubernetes"
        try:
            return self.source().flavour.target == "kubernetes"
        except MillpondError:
            return False

    def cluster_target(self, source: Source | None = None) -> KubernetesTarget:
        """The platform on its cluster."""
        from millpond.targets.kubernetes.target import KubernetesTarget

        found = source or self.source()
        flavour = found.flavour.model_copy(update={"target": "kubernetes"})
        catalogue = found.catalogue()
        return KubernetesTarget(replace(found, flavour=flavour).resolve(catalogue), catalogue)

    def anywhere(
        self, new_ports: Sequence[str] = (), source: Source | None = None
    ) -> LocalTarget | KubernetesTarget:
        """The platform on whichever target it is."""
        found = source or self.source()
        if found.flavour.target == "kubernetes":
            return self.cluster_target(found)
        return self.target(new_ports, found)

    def workspace(self) -> Workspace:
        """The platform's folders, also where its flavour file is wrong."""
        from millpond.targets.local.workspace import Workspace

        return Workspace(self.locate()[1])

    def target(self, new_ports: Sequence[str] = (), source: Source | None = None) -> LocalTarget:
        """The platform on this machine."""
        from millpond.model.errors import MillpondError, did_you_mean
        from millpond.targets.local.target import LocalTarget

        found = source or self.source()
        if found.flavour.target != "local":
            raise MillpondError(
                "this command is for a platform on this machine, and this one is on a cluster",
                hint="--target local on `up` brings it up here",
                exit_code=ExitCode.DOCUMENT,
            )
        catalogue = found.catalogue()
        platform = found.resolve(catalogue)
        new_ports = list(platform.nodes) if "all" in new_ports else list(new_ports)
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


def target_options(function: Function) -> Function:
    """``--target``, ``--context`` and ``--namespace``: where the platform is."""
    function = click.option(
        "--namespace", expose_value=False, is_eager=True, callback=_set("namespace"), help="The namespace"
    )(function)
    function = click.option(
        "--context",
        expose_value=False,
        is_eager=True,
        callback=_set("context"),
        help="The kubeconfig's context; the flavour's or the current one when left out",
    )(function)
    return click.option(
        "--target",
        type=click.Choice(["local", "kubernetes"]),
        expose_value=False,
        is_eager=True,
        callback=_set("chosen"),
        help="Where the platform is, in place of what the flavour or the last `up` says",
    )(function)
