"""Wiring: who meets which requirement, and what is said when nobody or too many do."""

from __future__ import annotations

import pytest

from millpond.model.errors import DocumentError, MillpondError
from millpond.model.resolve import WiringError

from .fakes import FakeCatalogue, platform


def test_the_one_candidate_is_taken() -> None:
    found = platform("components: {mill: {}, barn: {}, tables: {}}")
    binding = found.nodes["mill"].bindings["grain"]
    assert (binding.provider, binding.provision, binding.request) == ("barn", "store", {"bucket": "grain"})
    assert found.nodes["mill"].waits_for == ("barn", "tables")
    assert found.order.index("mill") == 2
    assert found.notes == ()


def test_without_a_candidate_the_default_joins_and_says_why() -> None:
    found = platform("components: {mill: {}}")
    assert list(found.nodes) == ["mill", "barn", "tables"]
    assert found.nodes["barn"].because == "mill needs store (grain)"
    assert found.notes == (
        "barn joins: mill needs store (grain)",
        "tables joins: mill needs database (ledger)",
    )


def test_what_joins_brings_its_own_requirements() -> None:
    found = platform("components: {silo: {owner: me}}")
    assert list(found.nodes) == ["silo", "tables"]


def test_several_candidates_are_listed_and_uses_chooses() -> None:
    flavour = "components:\n  barn:\n  silo: {owner: me}\n  mill: %s\n"
    with pytest.raises(DocumentError) as caught:
        platform(flavour % "")
    assert str(caught.value) == "f.yaml:4:3: mill needs store (grain), and several provide it: barn, silo"
    assert caught.value.hint == "choose one: uses: {grain: barn}"
    found = platform(flavour % "{uses: {grain: silo}}")
    assert found.nodes["mill"].bindings["grain"].provider == "silo"


def test_one_component_may_stand_twice_under_two_names() -> None:
    found = platform("components: {a: {component: barn}, b: {component: barn}, mill: {uses: {grain: b}}}")
    assert found.nodes["mill"].bindings["grain"].provider == "b"


def test_an_alias_names_the_component() -> None:
    assert platform("components: {grinder: {}}").nodes["grinder"].component.name == "mill"


def test_a_service_of_ones_own_replaces_a_component() -> None:
    found = platform("components: {mill: {}}\nexternal: {store: {url: 'http://s', key: {env: KEY}}}\n")
    assert "barn" not in found.nodes
    assert found.nodes["mill"].bindings["grain"].external
    assert found.nodes["mill"].waits_for == ("tables",)
    assert found.user["store"].external


def test_uses_external_chooses_between_a_component_and_ones_own() -> None:
    text = "components: {barn: {}, mill: {uses: {grain: %s}}}\nexternal: {store: {url: u, key: {env: K}}}\n"
    assert platform(text % "external").nodes["mill"].bindings["grain"].external
    assert platform(text % "barn").nodes["mill"].bindings["grain"].provider == "barn"


def test_an_optional_requirement_is_met_only_by_what_is_there() -> None:
    assert "gauge" not in platform("components: {mill: {}}").nodes["mill"].bindings
    found = platform("components: {mill: {}, clock: {}}")
    assert found.nodes["mill"].bindings["gauge"].provider == "clock"


def test_a_component_does_not_meet_its_own_requirement() -> None:
    found = platform("components: {proxy: {}}")
    assert found.nodes["proxy"].bindings["behind"].provider == "barn"


def test_user_code_finds_each_interface_that_is_there() -> None:
    assert list(platform("components: {mill: {}}").user) == ["store", "database"]
    assert list(platform("components: {barn: {}}").user) == ["store"]


def test_components_that_wait_for_each_other_are_refused_with_the_ring() -> None:
    with pytest.raises(WiringError) as caught:
        platform("components: {hen: {}, egg: {}}")
    assert caught.value.message in (
        "components wait for each other: hen waits for egg waits for hen",
        "components wait for each other: egg waits for hen waits for egg",
    )
    assert caught.value.hint == "set wait: false on one of the requirements"


def test_nobody_to_join_is_an_error() -> None:
    with pytest.raises(WiringError, match=r"hen needs egg \(egg\), and nothing here provides it") as caught:
        platform("components: {hen: {}}")
    assert caught.value.hint and "external: {egg: …}" in caught.value.hint


def test_a_default_does_not_push_another_component_from_its_name() -> None:
    with pytest.raises(WiringError, match="something else has that name") as caught:
        platform("components: {mill: {}, barn: {component: tables}}")
    assert caught.value.hint == "call it something else: NAME: {component: barn}"


OPTIONS = "components:\n  silo:\n    owner: me\n    %s\n"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("components: {mil: {}}", "f.yaml:1:14: no component is called mil", "did you mean mill?"),
        ("components: [barn, mil]", "f.yaml:1:20: no component is called mil", "did you mean mill?"),
        (
            "components:\n  a:\n    component: mil",
            "f.yaml:3:16: no component is called mil",
            "did you mean mill?",
        ),
        (OPTIONS % "sise: 3", "f.yaml:4:5: silo has no option sise", "did you mean size?"),
        ("components: {barn: {x: 1}}", "f.yaml:1:21: barn has no option x", "barn has no options"),
        (OPTIONS % "size: many", "f.yaml:4:11: size must be an integer, not 'many'", "How large"),
        (OPTIONS % "size: true", "f.yaml:4:11: size must be an integer, not True", "How large"),
        (OPTIONS % "size: 10", "f.yaml:4:11: size must be at most 9, not 10", "How large"),
        (OPTIONS % "size: 0", "f.yaml:4:11: size must be at least 1, not 0", "How large"),
        (OPTIONS % "kind: oval", "f.yaml:4:11: kind must be one of round, square, not 'oval'", "Its shape"),
        ("components: {silo: {}}", "f.yaml:1:14: silo lacks the option owner", "Whose it is"),
        (
            "components:\n  mill:\n    uses: {grian: barn}",
            "f.yaml:3:12: mill has no requirement grian",
            "did you mean grain?",
        ),
        (
            "components:\n  barn:\n  mill:\n    uses: {grain: bern}",
            "f.yaml:4:19: bern does not provide store in this flavour",
            "did you mean barn?",
        ),
        (
            "components:\n  mill:\n    ports: {htp: 80}",
            "f.yaml:3:13: mill has no port htp",
            "did you mean http?",
        ),
        ("external: {stor: {}}", "f.yaml:1:12: no interface is called stor", "did you mean store?"),
        ("external: {store: {ur: x}}", "f.yaml:1:20: store has no property ur", "did you mean url?"),
        (
            "external: {store: {url: x, key: hush}}",
            "f.yaml:1:33: key is a secret and does not belong into a file",
            "write key: {env: NAME} or key: {file: PATH}",
        ),
        ("external: {store: {url: x}}", "f.yaml:1:12: external store lacks key: The key", None),
    ],
)
def test_mistakes_have_their_place_and_a_hint(text: str, message: str, hint: str | None) -> None:
    with pytest.raises(DocumentError) as caught:
        platform(text)
    assert (str(caught.value), caught.value.hint) == (message, hint)


def test_without_a_file_mistakes_still_name_the_flavour() -> None:
    from millpond.model.flavour import Flavour, Selection
    from millpond.model.resolve import resolve

    with pytest.raises(MillpondError, match="no component is called x"):
        resolve(Flavour(components={"x": Selection()}), FakeCatalogue())


def test_a_secret_is_not_repeated_in_the_error_about_it() -> None:
    with pytest.raises(DocumentError) as caught:
        platform("external: {store: {url: x, key: hush}}")
    assert "hush" not in str(caught.value.as_dict())
