"""Expressions: what is read, what is refused, and that printing and reading agree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millpond.model.expression import Expression, ExpressionError, Reference, parse

names = st.from_regex(r"[a-z_][a-z0-9_-]{0,6}", fullmatch=True)
references = st.builds(
    Reference, st.lists(names, min_size=1, max_size=3).map(tuple), st.sampled_from([None, "urlquote"])
)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ()),
        ("plain $HOME $5 {x}", ("plain $HOME $5 {x}",)),
        ("${a.b}", (Reference(("a", "b")),)),
        ("s3://${a.b}/x", ("s3://", Reference(("a", "b")), "/x")),
        ("${ a.b | urlquote }", (Reference(("a", "b"), "urlquote"),)),
        ("$${a}", ("${a}",)),
        ("$$${a}", ("$${a}",)),
        ("${a}${b}", (Reference(("a",)), Reference(("b",)))),
        ("${files.my.ini}", (Reference(("files", "my", "ini")),)),
    ],
)
def test_reading(text: str, parts: tuple[object, ...]) -> None:
    assert parse(text).parts == parts


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a ${b", "is not closed"),
        ("${}", "is not a reference"),
        ("${a..b}", "is not a reference"),
        ("${a.}", "is not a reference"),
        ("${1a}", "is not a reference"),
        ("${a b}", "is not a reference"),
        ("${a|upper}", "upper is not a filter; known are urlquote"),
        ("${a|}", "is not a filter"),
        ("${a${b}}", "is not closed"),
    ],
)
def test_refusing(text: str, reason: str) -> None:
    with pytest.raises(ExpressionError, match=reason):
        parse(text)


@given(st.lists(st.text(alphabet="ab${}|.") | references.map(str)).map("".join))
def test_printing_and_reading_agree(text: str) -> None:
    try:
        found = parse(text)
    except ExpressionError:
        return
    assert parse(str(found)) == found


@given(st.text())
def test_any_text_can_be_written(text: str) -> None:
    assert parse(str(Expression((text,) if text else ()))).parts == ((text,) if text else ())


@given(st.lists(references, max_size=4))
def test_references_survive(wanted: list[Reference]) -> None:
    assert parse("-".join(map(str, wanted))).references == tuple(wanted)
