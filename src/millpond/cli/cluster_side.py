"""A platform on a cluster, made reachable for programs of this machine as long as they run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millpond.targets.kubernetes.target import KubernetesTarget


@contextmanager
def reached(target: KubernetesTarget) -> Iterator[dict[str, str]]:
    """What programs find in their environment, while the platform's ports are forwarded to this machine.

    Its deployments answer here too: on one machine a controller looks after them, on a cluster this process
    does for those that it starts.

    Raises:
        MillpondError: a component cannot be reached.
    """
    from millpond.cli.serving import on_cluster
    from millpond.serving.cluster.context import INTERFACE
    from millpond.serving.cluster.front import Front
    from millpond.targets.kubernetes.forwarding import Forwarding

    forwards = target.forwards()
    with ExitStack() as stack:
        stack.enter_context(Forwarding(target.kubectl(), forwards))
        found = target.environment(forwards)
        if target.platform.providers(INTERFACE):
            front = Front(lambda: on_cluster(target.platform, target.catalogue))
            found = stack.enter_context(front).environment(found)
        yield found
