"""The catalogue: what platforms can be composed of. Data in folders, read here."""

from millpond.catalogue.loader import Catalogue, Entry

__all__ = ["Catalogue", "Entry"]
