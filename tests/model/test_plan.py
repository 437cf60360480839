"""Plans: what `up` would do, and the reasons it gives."""

from __future__ import annotations

from millpond.model.plan import Act, Facts, compare

from .fakes import platform

MILL = platform("components: {mill: {}}")
SAME = {name: Facts("1", {"stones": "2"}) for name in MILL.nodes}
RUNNING = frozenset(MILL.nodes)


def told(plan: object) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(c.component, str(c.act), c.reasons) for c in plan.changes]  # type: ignore[attr-defined]


def test_everything_is_new_at_first_providers_before_askers() -> None:
    assert told(compare(MILL, SAME, {}, frozenset())) == [
        ("barn", "start", ("new: mill needs store (grain)",)),
        ("tables", "start", ("new: mill needs database (ledger)",)),
        ("mill", "start", ("new",)),
    ]


def test_nothing_to_do_is_an_empty_plan() -> None:
    plan = compare(MILL, SAME, SAME, RUNNING)
    assert plan.empty and plan.act("mill") is Act.KEEP and plan.act("other") is None


def test_only_what_changed_restarts_and_says_what_changed() -> None:
    wished = {**SAME, "mill": Facts("2", {"stones": "4", "port": "80"})}
    known = {**SAME, "mill": Facts("1", {"stones": "2", "wind": "yes"})}
    plan = compare(MILL, wished, known, RUNNING)
    assert [change.component for change in plan.changes if change.act is not Act.KEEP] == ["mill"]
    assert plan.changes[-1].reasons == ("port 80 (new)", "stones 2 → 4", "wind yes is gone")


def test_what_is_down_starts_and_what_left_stops_last_ones_first() -> None:
    known = {**SAME, "old": Facts("1"), "older": Facts("1")}
    plan = compare(MILL, SAME, known, RUNNING - {"mill"})
    assert told(plan)[2:] == [
        ("mill", "start", ("not running",)),
        ("older", "stop", ("left the flavour; its data is kept",)),
        ("old", "stop", ("left the flavour; its data is kept",)),
    ]
    assert not plan.empty


def test_the_json_form_has_notes_and_reasons() -> None:
    found = compare(MILL, SAME, {}, frozenset()).as_dict()
    assert found["platform"] == "millpond"
    assert found["notes"] == list(MILL.notes)
    assert found["changes"][2] == {"component": "mill", "act": "start", "reasons": ["new"]}
