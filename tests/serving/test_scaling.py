"""How many processes there should be, by a clock of the test's own."""

from __future__ import annotations

from millpond.serving.controller.scaling import Bounds, Demand, Gauge


class Load:
    """Processes that have so many requests at once, for so long; everything in seconds."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.now = 100.0
        self.demand = Demand(self.now)
        self.count = max(bounds.least, 1)
        self._busy = 0.0
        self._requests = 0

    def run(self, seconds: int, at_once: float) -> list[int]:
        """What was wanted, second by second."""
        found = []
        for _ in range(seconds):
            self.now += 1
            self._busy += at_once
            self._requests += int(at_once > 0)
            # All of it is one process's account: the decision only sees the sum.
            self.demand.note(self.now, {"a": Gauge(self.now, round(at_once), self._busy, self._requests)})
            self.count = self.demand.wanted(self.now, self.bounds, self.count)
            found.append(self.count)
        return found


def test_processes_are_added_within_seconds_and_taken_away_after_a_window() -> None:
    load = Load(Bounds(1, 4, target=10, window=30))
    assert set(load.run(10, 5)) == {1}
    grown = load.run(5, 35)
    assert grown[2:] == [4, 4, 4], "thirty-five at once are four times ten"
    assert load.run(29, 5)[-1] == 4, "kept for a window"
    assert load.run(5, 5)[-1] == 1


def test_never_more_nor_fewer_than_allowed() -> None:
    load = Load(Bounds(2, 3, target=1, window=5))
    assert load.run(5, 50)[-1] == 3
    assert load.run(30, 0)[-1] == 2


def test_none_are_left_after_a_window_without_a_request_where_none_is_allowed() -> None:
    load = Load(Bounds(0, 1, target=10, window=20))
    load.run(5, 1)
    assert set(load.run(19, 0)) == {1}
    assert load.run(3, 0)[-1] == 0


def test_a_long_request_keeps_its_process() -> None:
    load = Load(Bounds(0, 1, target=10, window=5))
    load.run(2, 1)
    for _ in range(20):
        load.now += 1
        load.demand.note(load.now, {"a": Gauge(load.now, 1, 2.0 + load.now, 2)})
        assert load.demand.wanted(load.now, load.bounds, 1) == 1
