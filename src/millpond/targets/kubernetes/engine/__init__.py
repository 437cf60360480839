"""The engine: brings a bundle to a cluster, and looks after what is there."""

from millpond.model.errors import NotReadyError
from millpond.targets.kubernetes.engine.apply import Listener
from millpond.targets.kubernetes.engine.engine import Engine
from millpond.targets.kubernetes.engine.record import Revision
from millpond.targets.kubernetes.engine.releases import Releases
from millpond.targets.kubernetes.engine.status import PodStatus, UnitStatus

__all__ = ["Engine", "Listener", "NotReadyError", "PodStatus", "Releases", "Revision", "UnitStatus"]
