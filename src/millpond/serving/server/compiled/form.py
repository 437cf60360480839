"""A model's faster form: built, proved, and used with the original behind it."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from time import perf_counter, thread_time
from typing import Any

import numpy as np

from millpond.serving.server.compiled.frame import Frame
from millpond.serving.server.compiled.proof import Proof
from millpond.serving.server.compiled.steps import Learnt, Step, Unsupported, build
from millpond.serving.server.errors import one_line
from millpond.serving.server.model import Model
from millpond.serving.server.samples import Samples
from millpond.serving.server.table import Table

log = logging.getLogger(__name__)

_GAIN = 0.8
"""A form has to take less than this share of the original's time to be worth it."""


@dataclass(slots=True)
class Form:
    """Predicts by the steps, or by the original what they do not take.

    Attributes:
        handed: how often the original took over.
    """

    step: Step
    original: Any
    handed: int = 0

    def __call__(self, data: Any) -> Any:
        """The prediction for data as `Signature.table` gives it; raises what the original raises."""
        try:
            return self.only(data)
        except Exception:
            self.handed += 1
            return self.original(data)

    def only(self, data: Any) -> Any:
        """The same without the original behind it; raises for what the steps do not take."""
        return self.step(Frame.of(data) if isinstance(data, Table) else data)


def compiled(model: Model, tolerance: float) -> tuple[Form | None, str]:
    """The faster form of a model, or None, and the reason for it in one sentence."""
    estimator = model.loaded.estimator
    if model.loaded.framework != "sklearn" or estimator is None:
        return None, f"there is no faster form of a model of {model.loaded.framework}"
    if not model.direct:
        return None, "its framework checks every request by itself"
    began = perf_counter()
    learnt = Learnt()
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            step = build(estimator, "predict", learnt)
            samples = Samples(model.signature, model.loaded.example, learnt.words, learnt.edges)
            if not samples.possible:
                return None, "there is no signature or example to prove a faster form with"
            return _proved(model, step, samples, tolerance, began)
    except Unsupported as error:
        return None, str(error)
    except ImportError as error:
        return None, f"{error.name} is not installed"
    except Exception as error:
        log.debug("compiling failed", exc_info=error)
        return None, f"making a faster form failed: {one_line(error)}"


def _proved(
    model: Model, step: Step, samples: Samples, tolerance: float, began: float
) -> tuple[Form | None, str]:
    form = Form(step, model.original)
    proof = Proof(model.original, form.only, tolerance)
    found = proof.difference(samples)
    if found is not None:
        return None, f"the faster form is not equal to the original: {found}"
    row = samples.usual()
    before, after = _seconds(model.original, row), _seconds(form.only, row)
    if after > before * _GAIN:
        return (
            None,
            f"the faster form is not faster ({after * 1e6:.0f} against {before * 1e6:.0f} us for a row)",
        )
    took = perf_counter() - began
    return form, (
        f"equal to the original within {tolerance:g} on {proof.rows} rows, {before / after:.0f} times as "
        f"fast for one row, in {took:.2f} s"
    )


def _seconds(predict: Any, data: Any) -> float:
    """The processor's time for a row, the best of a few."""
    best = float("inf")
    for _ in range(5):
        started = thread_time()
        predict(data)
        best = min(best, thread_time() - started)
    return max(best, 1e-7)
