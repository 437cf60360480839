"""Queries cut into words, and parts of them put otherwise."""

from __future__ import annotations

from millpond.query.words import Edit, Edited, words


def test_what_looks_like_a_name_in_a_text_or_a_comment_is_none() -> None:
    found = words('select \'from x\' -- postgres.t\n/* lake.a\n */ , $$it\'s$$, "a ""b"""')
    assert [(word.kind, word.value) for word in found] == [
        ("name", "select"),
        ("text", "from x"),
        ("sign", ","),
        ("text", "it's"),
        ("sign", ","),
        ("name", 'a "b"'),
    ]


def test_a_quoted_keyword_is_a_name() -> None:
    assert [word.is_keyword("from") for word in words('"from" FROM')] == [False, True]


def test_places_are_told_as_they_stood_before_the_edit() -> None:
    edited = Edited("select\n 'a', b", [Edit(8, 11, "'longer than before'")])
    assert edited.text == "select\n 'longer than before', b"
    assert edited.line_and_column(edited.text.index("b", 28)) == (2, 7)
    assert edited.line_and_column(12) == (2, 2)
