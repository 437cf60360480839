"""Model formats: each module here loads a folder of one format, and is imported only for that.

A format is what KServe's ``modelFormat.name`` says. `load` is the one entrance; what it gives is the same
for all of them, so that nothing else of the server has to know which framework predicts.
"""

from millpond.serving.server.runtimes.loaded import Loaded, LoadError
from millpond.serving.server.runtimes.registry import FORMATS, load

__all__ = ["FORMATS", "LoadError", "Loaded", "load"]
