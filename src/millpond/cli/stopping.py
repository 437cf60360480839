"""What still runs while a platform is being stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millpond.targets.local.workspace import Workspace


def still_running(workspace: Workspace) -> list[str]:
    """The components that have a process; none where there is no supervisor."""
    from millpond.targets.local.supervisor.blocking import BlockingSupervisor
    from millpond.targets.local.supervisor.protocol import SupervisorError
    from millpond.targets.local.supervisor.spec import ENDED

    try:
        found = BlockingSupervisor(workspace.run).status()
    except SupervisorError:
        return []
    return list(dict.fromkeys(status.component for status in found if status.state not in ENDED))
