"""What every command starts from: the folder, the flavour file in it, and the platform that it names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from millpond.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from millpond.cli.choice import Choice
    from millpond.flavours.loader import Source
    from millpond.targets.kubernetes.target import KubernetesTarget
    from millpond.targets.local.target import LocalTarget
    from millpond.targets.local.workspace import Workspace

_NOTED = "flavour"
Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass
class Session:
    """One call of the command line.

    Args:
        folder: where to look for the flavour file.
        file: the flavour file, when it was named.
        json: whether a script reads the answer.
        state: the folder that has the platform's state, where that is not the flavour file's.
        kind: the target, where it is not the one that the flavour names or the last `up` noted.
        context: the kubeconfig's context, likewise.
        namespace: the namespace, likewise.
        arguments: the whole command line, for commands that go on in another environment.
    """

    folder: Path = field(default_factory=Path.cwd)
    file: str | None = None
    json: bool = False
    state: Path | None = None
    kind: str | None = None
    context: str | None = None
    namespace: str | None = None
    arguments: Sequence[str] = ()

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
        if self.kind or self.context or self.namespace:
            options = {"target": self.kind, "context": self.context, "namespace": self.namespace}
            self._choice(project).write(options)
        noted = project / ".millpond" / _NOTED
        if path != project / loader.FILE:
            Workspace(project).create()
            noted.write_text(f"{path.resolve()}\n")

    def source(self) -> Source:
        """The flavour, read and checked, with the target that the command or the last `up` chose."""
        from millpond.flavours import loader

        path, project = self.locate()
        noted = self._choice(project).read() if self.kind != "local" else {}
        kind = self.kind or ("kubernetes" if self.context or self.namespace else noted.get("target"))
        found = replace(loader.read(path, cluster=kind == "kubernetes"), folder=project)
        return self._aimed(found, kind, noted)

    def _aimed(self, source: Source, kind: str | None, noted: Mapping[str, str]) -> Source:
        """The flavour for the chosen target: options first, then what `up` noted here, then its own words."""
        flavour = source.flavour
        if kind is None and flavour.target != "kubernetes":
            return source
        kind = kind or flavour.target
        changes = {
            key: value
            for key in ("context", "namespace")
            if (value := getattr(self, key) or noted.get(key)) and kind == "kubernetes"
        }
        cluster = flavour.kubernetes.model_copy(update=changes)
        return replace(source, flavour=flavour.model_copy(update={"target": kind, "kubernetes": cluster}))

    def _choice(self, project: Path) -> Choice:
        from millpond.cli.choice import Choice

        return Choice(project / ".millpond" / "target.json")

    def forget(self) -> None:
        """Forget the target that `up` noted."""
        self._choice(self.locate()[1]).forget()

    def workspace(self) -> Workspace:
        """The platform's folders, also where its flavour file is wrong."""
        from millpond.targets.local.workspace import Workspace

        return Workspace(self.locate()[1])

    def on_cluster(self) -> bool:
        """Whether the platform runs on a cluster; a flavour file that is wrong says nothing."""
        from millpond.model.errors import MillpondError

        if self.kind == "local":
            return False
        try:
            return self.source().flavour.target == "kubernetes"
        except MillpondError:
            if self.kind or self.context or self.namespace:
                raise
            return False

    def cluster_target(self) -> KubernetesTarget:
        """The platform on its cluster.

        Raises:
            MillpondError: it runs on this machine.
        """
        from millpond.model.errors import MillpondError
        from millpond.targets.kubernetes.target import KubernetesTarget

        found = self.target()
        if not isinstance(found, KubernetesTarget):
            raise MillpondError(
                f"the platform {found.platform.name} runs on this machine, and this command is for a cluster",
                hint="--target kubernetes means a cluster",
                exit_code=ExitCode.DOCUMENT,
            )
        return found

    def target(
        self, new_ports: Sequence[str] = (), source: Source | None = None
    ) -> LocalTarget | KubernetesTarget:
        """The platform, wherever it runs."""
        found = source or self.source()
        if found.flavour.target == "local":
            return self.local_target(new_ports, found)
        from millpond.targets.kubernetes.target import KubernetesTarget

        catalogue = found.catalogue()
        return KubernetesTarget(found.resolve(catalogue), catalogue, found.project)

    def local_target(self, new_ports: Sequence[str] = (), source: Source | None = None) -> LocalTarget:
        """The platform on this machine.

        Raises:
            MillpondError: it runs on a cluster, where this command does not reach.
        """
        from millpond.model.errors import MillpondError, did_you_mean
        from millpond.targets.local.target import LocalTarget

        found = source or self.source()
        if found.flavour.target != "local":
            raise MillpondError(
                f"the platform {found.flavour.name} runs on a cluster, and this command works on one machine",
                hint="`millpond shell` gives programs what reaches it; --target local means this machine",
                exit_code=3,
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


def _noted(*names: str, into: str, **settings: Any) -> Callable[[Function], Function]:
    """An option that the session keeps, in the attribute `into`."""
    return click.option(*names, expose_value=False, is_eager=True, callback=_set(into), **settings)


def json_option(function: Function) -> Function:
    """``--json``, for scripts."""
    return _noted("--json", into="json", is_flag=True, help="Print JSON")(function)


def file_option(function: Function) -> Function:
    """``-f FLAVOUR``, for platforms whose file is not millpond.yaml."""
    return _file_option("-f", "--file")(function)


def target_options(function: Function) -> Function:
    """``--target``, ``--context`` and ``--namespace``: where the platform runs."""
    for option in (
        _noted("--namespace", into="namespace", metavar="NAMESPACE", help="The namespace on the cluster"),
        _noted(
            "--context", into="context", metavar="CONTEXT", help="The kubeconfig's context, for a cluster"
        ),
        _noted(
            "--target",
            into="kind",
            type=click.Choice(["local", "kubernetes"]),
            help="Where it runs, in place of what the flavour says or the last `up` here chose",
        ),
    ):
        function = option(function)
    return function


def long_file_option(function: Function) -> Function:
    """``--file FLAVOUR`` alone, where ``-f`` means something else."""
    return _file_option("--file")(function)


def _file_option(*names: str) -> Callable[[Function], Function]:
    return _noted(
        *names,
        "flavour_file",
        into="file",
        metavar="FLAVOUR",
        help="The flavour file, where it is not millpond.yaml of this folder or one above",
    )
