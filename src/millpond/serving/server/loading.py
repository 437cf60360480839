"""From the command line to a model that serves: loaded, given its faster form, tried for independent rows."""

from __future__ import annotations

import argparse
import logging
from dataclasses import replace

from millpond.serving.server.compiled import compiled
from millpond.serving.server.independence import prove
from millpond.serving.server.model import Model, load
from millpond.serving.server.samples import Samples

log = logging.getLogger(__name__)

_LARGE_BYTES = 24 * 1024 * 1024
"""Of a model's folder, above which its faster form is made after it is ready."""


def loaded(options: argparse.Namespace) -> Model:
    """The model, ready to serve.

    Raises:
        LoadError: see `load`.
    """
    model = load(options.model_dir, options.name, options.version, options.format)
    if compiles_later(options):
        model.form_reason = "its faster form is being made"
    elif options.compile == "auto":
        _compile(model, options)
    if options.batch != "off":
        prove(model, Samples(model.signature, model.loaded.example))
    return model


def compiles_later(options: argparse.Namespace) -> bool:
    """Whether compiling may take so long that the original had better answer meanwhile."""
    if options.compile != "auto":
        return False
    sizes = (path.stat().st_size for path in options.model_dir.rglob("*") if path.is_file())
    return bool(sum(sizes) > _LARGE_BYTES)


def recompiled(model: Model, options: argparse.Namespace) -> Model:
    """A model that serves already, with its faster form if it has one."""
    twin = replace(model)
    _compile(twin, options)
    if twin.form is not None and options.batch != "off":
        prove(twin, Samples(twin.signature, twin.loaded.example))
    return twin


def _compile(model: Model, options: argparse.Namespace) -> None:
    model.form, model.form_reason = compiled(model, options.tolerance)
    log.info("model %s: %s", model.name, model.form_reason)
