"""Conditions: gjson's documented paths, their comparisons, and what is refused by name.

Every expectation was checked against the Go library, and a million random paths and values with it.
"""

from __future__ import annotations

from typing import Any

import pytest

from millpond.serving.router.gjson import check, exists

ANSWER: dict[str, Any] = {
    "model": {"name": "pond", "version": 3},
    "labels": ["cat", "dog", "fish"],
    "a.key": "dotted",
    "nothing": None,
    "über": 1,
    "predictions": [
        {"label": "cat", "score": 0.4, "tags": ["x", "y"], "sure": False},
        {"label": "dog", "score": 0.9, "tags": ["y"], "sure": True, "note": ""},
        {"label": "dog", "score": 12, "tags": [], "sure": "true", "extra": None},
    ],
}
HOLDS = r"""
model.name
model.v*
mod?l.name
labels.2
labels.#
labels.02
a\.key
nothing
über
predictions.#
predictions.#.label
predictions.#.nowhere
predictions.#(label=="dog")
predictions.#(label="dog")
predictions.#(label==dog)
predictions.#(label == "dog").score
predictions.#(label!="dog")
predictions.#(label%"c*")
predictions.#(label!%"c*")
predictions.#(label%"d?g")
predictions.#(label>"cat")
predictions.#(score>0.9)
predictions.#(score>=12)
predictions.#(score<0.5)
predictions.#(score==0.90)
predictions.#(score==12.0)
predictions.#(sure==true)
predictions.#(sure>false)
predictions.#(sure==~true)#
predictions.#(extra==~null).tags
predictions.#(extra)
predictions.#(note==~*)
predictions.#(note=="")
predictions.#(tags.#(=="x"))
predictions.#(tags.#(%"?"))#.label
predictions.#(label=="bird")#
predictions.#(label=="dog")#|1
predictions|#(label=="cat")|score
predictions.1.tags.0
labels.#(=="dog")
labels.#(%"*s*")
labels.#(!%"*s*")#
labels.#(>"dog")
@this
@this.model
model.@this.name
*.name
*\.key
"""
FAILS = r"""
model.nam
Model.name
labels.3
labels.-1
labels.first
a.key
nothing.more
model.name.more
predictions.label
predictions.#(label=="bird")
predictions.#(label=="dog").nowhere
predictions.#(label=="cat").note
predictions.#(label=="dog")#|7
predictions.#(label=="dog")#|label
predictions.#(score>12)
predictions.#(score=="dog")
predictions.#(extra==null)
predictions.#(extra!="x")
predictions.#(tags=="x")
predictions.#(label==~maybe)
labels.#(=="bird")
labels.#(label)
labels.#|0
labels.#.0.x|0
nothing.@this.x
model\.name
"""


@pytest.mark.parametrize("path", HOLDS.split("\n")[1:-1])
def test_a_path_that_gjson_finds_is_found(path: str) -> None:
    check(path)
    assert exists(ANSWER, path)


@pytest.mark.parametrize("path", FAILS.split("\n")[1:-1])
def test_a_path_that_gjson_does_not_find_is_not_found(path: str) -> None:
    check(path)
    assert not exists(ANSWER, path)


@pytest.mark.parametrize(
    ("value", "path", "found"),
    [
        ([1, 2], "#(==2)", True),
        ([1, 2], "1", True),
        ([10], "#(==1_0)", True),
        ([0], "#(==word)", True),
        ([2**70], "#(>1e20)", True),
        (["a*c"], r'#(%"a\\*c")', True),
        (["abc"], r'#(%"a\\*c")', False),
        (["é"], r'#(=="\u00e9")', True),
        ([[1, 2], [3]], "#(#==1)", True),
        ([[1, 2], [3]], "#.#(==3)", True),
        ("text", "@this", True),
        ("text", "text", False),
        (None, "@this", True),
        (True, "a", False),
        ({"": 1}, "a.", False),
        ({"a": {"": 1}}, "a.", True),
        ({"x1": 1, "x2": {"y": 1}}, "x*.y", True),
        ({"@reverse": [1]}, r"\@reverse", True),
    ],
)
def test_any_json_is_looked_at(value: Any, path: str, found: bool) -> None:
    assert exists(value, path) is found


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("", "never holds"),
        ("..1.name", "JSON lines"),
        ("@reverse", "@reverse is not supported"),
        ("labels.@flatten.0", "@flatten"),
        ("labels|@pretty", "@pretty"),
        ('@this:{"a":1}', "takes no argument"),
        ("{a,b}", "multipaths"),
        ("a.[b]", "multipaths"),
        ('!"x"', "literals"),
        ("a.#(b==1", "is not a gjson query"),
        ("a.#(b==1)c", "is not a gjson query"),
        ("a.#(b!1)", "no operator"),
        ("a.#(b.@keys.0==1)", "@keys"),
        ('predictions.class == "dog"', "a comparison stands in a query"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(path: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check(path)


def test_a_pattern_of_many_stars_costs_no_time() -> None:
    assert not exists(["a" * 5000], "#(%" + "*a" * 100 + "*b)")
