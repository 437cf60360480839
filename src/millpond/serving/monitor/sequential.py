"""A stopping rule that may be looked at all the time: an always-valid p-value and a confidence sequence.

The mixture sequential probability ratio test (Robbins 1970; for experiments on the web: Johari, Koomen,
Pekelis, Walsh, "Always Valid Inference: Continuous Monitoring of A/B Tests", Operations Research 70(3),
2022), in the form with estimated variances of Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, "Time-uniform
central limit theory and asymptotic confidence sequences", Annals of Statistics 52(6), 2024, theorem 2.2
and equation (14). Its guarantee: when there is no difference, the chance that it *ever* says there is
one stays below alpha, however often one looks. It is asymptotic, so nothing is said before `START` outcomes
are there in each arm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

ALPHA = 0.05
START = 100
EXPECTED = 1000


@dataclass(frozen=True, slots=True)
class Sequential:
    """What holds at this and every other moment: an interval of the difference, and a p-value."""

    low: float
    high: float
    p_value: float


def mixture(alpha: float = ALPHA, expected: int = EXPECTED) -> float:
    """The mixture's standard deviation, in those of one outcome, that is tightest at `expected` outcomes."""
    return math.sqrt((-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / expected)


def sequential(
    difference: float,
    variances: tuple[float, float],
    counts: tuple[int, int],
    alpha: float = ALPHA,
    expected: int = EXPECTED,
) -> Sequential | None:
    """The difference of two means, safe to look at at any time.

    Args:
        difference: of the means.
        variances: of one outcome in each arm.
        counts: outcomes of each arm.
        alpha: the chance of a wrong alarm, ever.
        expected: outcomes per arm at which the interval is made to be shortest; it is valid at any number.

    Returns:
        None when it is too early, or when the outcomes do not vary.
    """
    total = sum(variances)
    if min(counts) < START or total <= 0:
        return None
    # Time runs by information: as many outcomes per arm as equal arms with this standard error would have.
    time = total / (variances[0] / counts[0] + variances[1] / counts[1])
    rho = mixture(alpha, expected)
    spread = time * rho**2
    scale = math.sqrt(total)
    half = scale * math.sqrt(2 * (spread + 1) / (time**2 * rho**2) * math.log(math.sqrt(spread + 1) / alpha))
    exponent = (time * rho * difference / scale) ** 2 / (2 * (spread + 1))
    logarithm = exponent - 0.5 * math.log(spread + 1)
    return Sequential(difference - half, difference + half, math.exp(-logarithm) if logarithm > 0 else 1.0)
