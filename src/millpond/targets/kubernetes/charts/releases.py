"""Releases: what the engine wants of charts, done by Helm.

What is installed is read from Helm's own Secrets through the API, so that a plan starts no process and needs
no Helm where nothing is to be done. Labels on them say whose a release is and what it was made of; see
https://helm.sh/docs/topics/kubernetes_apis/ and https://helm.sh/docs/helm/helm_upgrade/
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from millpond.model.errors import MillpondError
from millpond.targets.kubernetes.bundle import COMPONENT, Object, Release
from millpond.targets.kubernetes.charts import archive, revisions
from millpond.targets.kubernetes.charts.helm import ChartError, Helm, gist, lines
from millpond.targets.kubernetes.charts.revisions import PLATFORM, STATE, Revision

_HISTORY = "10"
"""Revisions of a release that are kept, as many as the engine keeps of a unit."""

_ORPHANED = 120.0
"""Seconds beyond a release's own time after which an operation that never ended counts as broken off."""


def releases(context: str = "", kubeconfig: Path | None = None, program: Path | None = None) -> HelmReleases:
    """The releases of a cluster; nothing is asked or started yet.

    Args:
        context: the kubeconfig's context; its current one when empty.
        kubeconfig: the file; the usual one when None.
        program: the program helm; found or fetched when None and first needed.
    """
    return HelmReleases(Helm(context, kubeconfig, program), context, kubeconfig)


class HelmReleases:
    """Satisfies `millpond.targets.kubernetes.engine.releases.Releases`.

    Args:
        helm: the program.
        context: the kubeconfig's context.
        kubeconfig: the file.
    """

    def __init__(self, helm: Helm, context: str = "", kubeconfig: Path | None = None) -> None:
        self._helm = helm
        self._context = context
        self._kubeconfig = kubeconfig

    # --- what is there ------------------------------------------------------------------------------------

    async def differs(self, release: Release) -> str | None:
        """Why a release is to be installed or upgraded; None when it is as wished.

        Raises:
            ChartError: a release of that name is there and is somebody else's.
        """
        there = await self._newest(release.name, release.namespace)
        chart = release.chart
        if there is None:
            return f"chart {chart.name} {chart.version} is not installed"
        if there.platform != release.platform:
            raise _foreign(release, there)
        if there.status != "deployed":
            return f"the release {release.name} is {there.status}"
        if there.state == revisions.state(release):
            return None
        return revisions.difference(there, release)

    async def installed(self, platform: str) -> list[tuple[str, str, str]]:
        """The platform's releases: unit, name, namespace."""
        found = {(r.unit, r.name, r.namespace) for r in await self._list("*", {PLATFORM: platform})}
        return sorted(found)

    async def history(self, name: str, namespace: str) -> list[Revision]:
        """The revisions that Helm keeps of a release, the newest last."""
        found = await self._list(namespace, {"name": name})
        return sorted(found, key=lambda revision: revision.number)

    async def _newest(self, name: str, namespace: str) -> Revision | None:
        found = await self.history(name, namespace)
        return found[-1] if found else None

    async def _list(self, namespace: str, labels: dict[str, str]) -> list[Revision]:
        from millpond.targets.kubernetes.api import Cluster

        async with Cluster.connect(self._context, kubeconfig=self._kubeconfig) as cluster:
            return await revisions.listed(cluster, namespace, labels)

    # --- changes ------------------------------------------------------------------------------------------

    async def apply(self, release: Release, tell: Callable[[str], None]) -> None:
        """Install or upgrade a release, and wait until it is ready; a failed upgrade is rolled back.

        Raises:
            ChartError: the chart cannot be had, its values are refused, or it does not become ready.
        """
        chart = release.chart
        path = await asyncio.to_thread(archive.have, chart, self._helm.now, tell)
        there = await self._newest(release.name, release.namespace)
        if there is not None and there.platform != release.platform:
            raise _foreign(release, there)
        if there is not None and there.pending:
            there = await self._recover(release, there, tell)
        act = "installing" if there is None else "upgrading to"
        tell(f"{act} chart {chart.name} {chart.version}")
        labels = {PLATFORM: release.platform, COMPONENT: release.name, STATE: revisions.state(release)}
        with _values(release) as values:
            await self._helm.cluster(
                *("upgrade", "--install", release.name, str(path), "--namespace", release.namespace),
                *("--values", str(values), "--history-max", _HISTORY, "--timeout", f"{chart.timeout:.0f}s"),
                *("--labels", ",".join(f"{key}={value}" for key, value in labels.items())),
                # Values are the whole of what is wished; those of the revision before do not linger.
                "--reset-values",
                *self._waiting,
                failed=lambda complaint: _failed(release, complaint),
            )

    async def uninstall(self, name: str, namespace: str) -> None:
        """Uninstall a release, and wait until its objects are gone; one that is not there is fine."""
        if await self._newest(name, namespace) is None:
            return
        await self._helm.cluster(
            *("uninstall", name, "--namespace", namespace, "--wait", "--timeout", "300s"),
            failed=lambda complaint: ChartError(
                f"the release {name} in {namespace} cannot be uninstalled: {gist(complaint)}",
                hint="mend that and run the command again",
                details=lines(complaint),
            ),
        )

    async def rollback(self, name: str, namespace: str, revision: int) -> None:
        """Go back to a revision of Helm's; 0 is the one before.

        Raises:
            ChartError: there is no such revision, or it does not become ready.
        """
        kept = [found.number for found in await self.history(name, namespace)]
        if revision and revision not in kept:
            raise ChartError(
                f"the release {name} has no revision {revision}",
                hint=f"it has {', '.join(map(str, kept))}" if kept else "it is not installed",
            )
        await self._helm.cluster(
            *("rollback", name, *([str(revision)] if revision else []), "--namespace", namespace),
            *("--wait", "--timeout", "600s", "--history-max", _HISTORY),
            failed=lambda complaint: ChartError(
                f"the release {name} cannot go back: {gist(complaint)}", details=lines(complaint)
            ),
        )

    @property
    def _waiting(self) -> list[str]:
        return ["--wait", "--atomic"] if self._helm.major < 4 else ["--wait", "--rollback-on-failure"]

    async def _recover(
        self, release: Release, there: Revision, tell: Callable[[str], None]
    ) -> Revision | None:
        """Clear up after a Helm that was killed half way, which nobody else does.

        Raises:
            ChartError: it may still be at work.
        """
        if there.age < release.chart.timeout + _ORPHANED:
            raise ChartError(
                f"somebody is at the release {release.name}: it is {there.status} "
                f"since {there.age:.0f} seconds",
                hint="wait until that ends; if nobody is, clear up by "
                f"`helm rollback {release.name} -n {release.namespace}`, or `helm uninstall` the first time",
            )
        tell(f"clearing up what broke off as {there.status}")
        good = [r for r in await self.history(release.name, release.namespace) if r.status in revisions.GOOD]
        if not good:
            await self.uninstall(release.name, release.namespace)
            return None
        await self.rollback(release.name, release.namespace, good[-1].number)
        return good[-1]

    # --- without a cluster --------------------------------------------------------------------------------

    def template(self, release: Release) -> list[Object]:
        """The objects of a release, as `millpond render` writes them; hooks are among them, tests are not.

        Raises:
            ChartError: the chart cannot be had, or refuses its values.
        """
        path = archive.have(release.chart, self._helm.now, lambda text: None)
        with _values(release) as values:
            text = self._helm.now(
                *("template", release.name, str(path), "--namespace", release.namespace),
                *("--values", str(values), "--include-crds", "--skip-tests"),
                failed=lambda complaint: _failed(release, complaint, rendering=True),
            )
        return [found for found in yaml.load_all(text, Loader=_LOADER) if found]


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@contextmanager
def _values(release: Release) -> Iterator[Path]:
    """The values as a file that nobody else reads: not secret, but nobody's business."""
    handle, name = tempfile.mkstemp(prefix="millpond-values-", suffix=".yaml")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            yaml.safe_dump(dict(release.values), file, sort_keys=True)
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _failed(release: Release, complaint: str, rendering: bool = False) -> MillpondError:
    chart = release.chart
    told = f"{release.name}: chart {chart.name} {chart.version}"
    if "values don't meet" in complaint:
        return ChartError(
            f"{told} does not take its values",
            hint="correct what the flavour says under its values",
            details=lines(complaint),
        )
    if rendering:
        return ChartError(f"{told} cannot be rendered: {gist(complaint)}", details=lines(complaint)[:-1])
    if any(words in complaint for words in ("timed out", "deadline exceeded", "not ready")):
        return ChartError(
            f"{told} does not become ready in {chart.timeout:.0f} seconds",
            hint=f"kubectl get pods,events -n {release.namespace} says more",
            details=lines(complaint),
        )
    return ChartError(f"{told} cannot be installed: {gist(complaint)}", details=lines(complaint)[:-1])


def _foreign(release: Release, there: Revision) -> ChartError:
    whose = f"the platform {there.platform}" if there.platform else "somebody else"
    return ChartError(
        f"the release {release.name} in {release.namespace} is there already, installed by {whose}",
        hint="use it as it is: leave the component out and name what it provides under external; "
        "or call the component something else",
    )
