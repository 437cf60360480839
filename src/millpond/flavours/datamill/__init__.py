"""Data-Mill's flavours, accepted as they are: read, checked, and translated to Millpond's components."""

from millpond.flavours.datamill.layout import find_flavour
from millpond.flavours.datamill.translation import DataMillFlavour, Note, is_datamill, translate

__all__ = ["DataMillFlavour", "Note", "find_flavour", "is_datamill", "translate"]
