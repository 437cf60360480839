"""Chart archives: pulled once into the cache, checked against the checksum that the catalogue knows."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path

from millpond.model.component import Chart
from millpond.model.errors import MillpondError
from millpond.targets.cache import default_root
from millpond.targets.kubernetes.charts.helm import ChartError, gist

Run = Callable[..., str]


def local(chart: Chart) -> Path | None:
    """Where a chart is that stands in a folder or an archive; None when it is in a repository.

    The repository is the chart's own folder, its archive, or a folder with such in it.

    Raises:
        ChartError: it is not there.
    """
    if "://" in chart.repository:
        return None
    base = Path(chart.repository)
    for path in (base, base / f"{chart.name}-{chart.version}.tgz", base / chart.name):
        if path.is_file() or (path / "Chart.yaml").is_file():
            return path
    raise ChartError(
        f"there is no chart {chart.name} {chart.version} in {base}",
        hint=f"it is looked for as Chart.yaml there, {chart.name}/Chart.yaml and "
        f"{chart.name}-{chart.version}.tgz",
    )


def kept(chart: Chart) -> Path:
    """Where the archive of a repository's chart is kept, whether it is there or not."""
    where = hashlib.sha256(chart.repository.encode()).hexdigest()[:16]
    return default_root() / "charts" / where / f"{chart.name}-{chart.version}.tgz"


def pulling(chart: Chart, folder: Path) -> list[str]:
    """Helm's arguments that pull a chart into a folder."""
    source = (
        [f"{chart.repository.rstrip('/')}/{chart.name}"]
        if chart.repository.startswith("oci://")
        else [chart.name, "--repo", chart.repository]
    )
    return ["pull", *source, "--version", chart.version, "--destination", str(folder)]


def have(chart: Chart, run: Run, tell: Callable[[str], None]) -> Path:
    """The chart as Helm takes it: a folder, or an archive that is pulled first where it is not kept.

    Args:
        chart: the recipe.
        run: runs Helm with arguments; see `millpond.targets.kubernetes.charts.helm.Helm.now`.
        tell: is told of a download.

    Raises:
        ChartError: it cannot be had, or it is not what the catalogue says.
    """
    found = local(chart)
    if found:
        if found.is_file():
            _check(chart, found)
        return found
    target = kept(chart)
    if target.is_file():
        _check(chart, target)
        return target
    tell(f"downloading chart {chart.name} {chart.version}")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".pull-", dir=target.parent) as scratch:
        run(*pulling(chart, Path(scratch)), failed=lambda complaint: _unreachable(chart, complaint))
        archives = list(Path(scratch).glob("*.tgz"))
        if len(archives) != 1:
            raise _unreachable(chart, "no archive came")
        _check(chart, archives[0])
        archives[0].replace(target)
    return target


def _unreachable(chart: Chart, complaint: str) -> MillpondError:
    return ChartError(
        f"the chart {chart.name} {chart.version} cannot be downloaded from {chart.repository}: "
        f"{gist(complaint)}",
        hint=f"see that this machine reaches the repository, or put the archive to {kept(chart)}",
    )


def _check(chart: Chart, path: Path) -> None:
    """Compare with the catalogue's checksum, where it knows one.

    Raises:
        ChartError: it is another.
    """
    if chart.digest is None:
        return
    found = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    if found != chart.digest:
        raise ChartError(
            f"the archive {path.name} of the chart {chart.name} is not what the catalogue knows: "
            f"its checksum is {found}, not {chart.digest}",
            hint=f"if {path} is kept from before, delete it; otherwise do not trust it",
        )


def identity(chart: Chart) -> str:
    """What a chart on this machine is, beyond its version: a hash of its files; empty for a repository's."""
    path = local(chart)
    if path is None:
        return ""
    files = [path] if path.is_file() else sorted(found for found in path.rglob("*") if found.is_file())
    found = hashlib.sha256()
    for file in files:
        found.update(f"{file.relative_to(path.parent)}\0".encode())
        found.update(file.read_bytes())
    return found.hexdigest()
