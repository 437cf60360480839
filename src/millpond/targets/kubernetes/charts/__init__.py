"""Charts: recipes that Helm installs, filled with the same options and bindings as a service's."""

from millpond.targets.kubernetes.charts.helm import ChartError
from millpond.targets.kubernetes.charts.recipe import release
from millpond.targets.kubernetes.charts.releases import HelmReleases, releases

__all__ = ["ChartError", "HelmReleases", "release", "releases"]
