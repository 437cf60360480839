"""The API of a cluster: its verbs on plain dicts, with errors that say what to do."""

from millpond.targets.kubernetes.api.cluster import Cluster
from millpond.targets.kubernetes.api.errors import ApiError, Conflict, FieldConflict
from millpond.targets.kubernetes.api.watching import Event

__all__ = ["ApiError", "Cluster", "Conflict", "Event", "FieldConflict"]
