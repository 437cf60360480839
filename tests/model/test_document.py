"""Documents: places, YAML 1.2, and mistakes told all at once."""

from __future__ import annotations

import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from millpond.model.document import load, read, scalar
from millpond.model.errors import DocumentError, DocumentErrors, Place
from millpond.model.flavour import Flavour


def mistakes(text: str, model: type[BaseModel] = Flavour) -> list[tuple[str, str | None]]:
    with pytest.raises(DocumentError) as caught:
        load(model, text, "f.yaml")
    errors = getattr(caught.value, "errors", [caught.value])
    return [(str(error), error.hint) for error in errors]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("on", "on"),
        ("Off", "Off"),
        ("12:30", "12:30"),
        ("2026-11-22", "2026-11-22"),
        ("1_000", "1_000"),
        ("014", 14),
        ("0o14", 12),
        ("0xFf", 255),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-.inf", -math.inf),
        ("~", None),
        ("", None),
        ("True", True),
        ("'12'", "12"),
        ('"true"', "true"),
        ("!!str 12", "12"),
        ("!!int '12'", 12),
        ("1.2.3", "1.2.3"),
        ("|\n  12\n", "12\n"),
    ],
)
def test_scalars_mean_what_yaml_1_2_says(text: str, value: object) -> None:
    found = read(f"key: {text}", "f").data["key"]
    assert (found, type(found)) == (value, type(value))


def test_not_a_number_is_read() -> None:
    assert math.isnan(read("a: .nan", "f").data["a"])


def test_a_number_of_thousands_of_digits_is_no_crash() -> None:
    assert read("a: " + "9" * 6000, "f").data["a"] == "9" * 6000


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(plain)
def test_what_yaml_writes_is_read_back(data: object) -> None:
    # JSON in flow style is a subset of YAML 1.2, strings always quoted.
    text = yaml.safe_dump(data, default_style='"', default_flow_style=True, allow_unicode=True)
    assert read(text, "f").data == data


@given(st.integers() | st.floats(allow_nan=False))
def test_numbers_keep_their_value(number: float) -> None:
    text = repr(number).replace("inf", ".inf")
    assert scalar(text) == number
    assert type(scalar(text)) is type(number)


def test_every_key_and_value_knows_its_place() -> None:
    document = read("a:\n  - {b: 1}\n  - ü: [x, y]\n", "f.yaml")
    assert document.keys[("a", 0, "b")] == Place("f.yaml", 2, 6)
    assert document.values[("a", 0, "b")] == Place("f.yaml", 2, 9)
    assert document.values[("a", 1, "ü", 1)] == Place("f.yaml", 3, 12)
    assert document.place(("a", 0, "none", "deeper")) == Place("f.yaml", 2, 5)
    assert document.key_place(("a", 1)) == Place("f.yaml", 3, 5)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: 1\nb: 2\na: 3\n", "f:3:1: a stands twice, first in line 1"),
        ("a: [1", "f:1:4: not YAML"),
        ("a: b: c", "f:1:5: not YAML"),
        ("a: 1\n---\nb: 2\n", "f:2:1: not YAML"),
        ("a: !python/object:os.system x", "f:1:4: the tag !python/object:os.system is not known"),
        ("a: !own {b: 1}", "f:1:4: the tag !own is not known"),
        ("a: !!set {b}", "f:1:4: the tag tag:yaml.org,2002:set is not known"),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", "f:3:3: merge keys (<<) are not read"),
        ("? [a]\n: 1\n", "f:1:3: a key must be a plain word"),
        ("a: &x [*x]", "f:1:4: an alias stands inside of what it names"),
        ("a: \x07", "f:1:1: not YAML"),
        ("[" * 200_000 + "]" * 200_000, "f:1:101: values are nested more than 100 deep"),
        ("".join(f"{' ' * i}a:\n" for i in range(150)), "f:101:101: values are nested more than 100 deep"),
        ("- " * 200 + "a", "f:1:201: values are nested more than 100 deep"),
    ],
)
def test_what_is_not_plain_yaml_is_refused_with_its_place(text: str, reason: str) -> None:
    with pytest.raises(DocumentError) as caught:
        read(text, "f")
    assert str(caught.value).startswith(reason)


def test_aliases_are_read_but_no_bomb() -> None:
    assert read("a: &x [1]\nb: *x\n", "f").data == {"a": [1], "b": [1]}
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    with pytest.raises(DocumentError, match="aliases stand for more than"):
        read("\n".join(lines), "f")


def test_several_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    text = "name: my-platform\ntargt: local\ncomponents:\n  mlflow: {ports: {http: nine}}\nexternl: {}\n"
    assert mistakes(text) == [
        ("f.yaml:2:1: unknown key targt", "did you mean target?"),
        ("f.yaml:4:26: components.mlflow.ports.http must be a whole number, not 'nine'", None),
        ("f.yaml:5:1: unknown key externl", "did you mean external?"),
    ]


def test_all_mistakes_are_in_the_json_form() -> None:
    with pytest.raises(DocumentErrors) as caught:
        load(Flavour, "a: 1\nb: 2\n", "f.yaml")
    errors = caught.value.as_dict()["errors"]
    assert isinstance(errors, list)
    assert [(error["line"], error["column"], error["message"]) for error in errors] == [
        (1, 1, "unknown key a"),
        (2, 1, "unknown key b"),
    ]


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("", "f.yaml:1:1: the file is empty", None),
        ("hello", "f.yaml:1:1: the file must be a mapping (key: value), not 'hello'", None),
        (
            "components:\n\tmlflow:\n",
            "f.yaml:2:1: not YAML: found character that cannot start any token",
            "indent with spaces: YAML takes no tabs",
        ),
        ("components: [mlflow, mlflow]", "f.yaml:1:1: mlflow stands twice under components", None),
        (
            "target: locl",
            "f.yaml:1:9: target must be 'local' or 'kubernetes', not 'locl'",
            "did you mean local?",
        ),
        (
            "components: {MLflow: {}}",
            "f.yaml:1:14: MLflow cannot be a name",
            "a name has lower-case letters, digits, - and _, and begins with a letter",
        ),
        (
            "components: [mlflow: {workers: 2}]",
            "f.yaml:1:1: components is a list of names, or a mapping of names to options",
            None,
        ),
        (
            "external: {s3: {endpoint: [1]}}",
            "f.yaml:1:27: external.s3.endpoint must be text or a whole number or a mapping (key: value)",
            None,
        ),
        ("external: {s3: {secret_key: {envv: A}}}", "f.yaml:1:30: unknown key envv", "did you mean env?"),
        (
            "external: {s3: {secret_key: {env: A, file: B}}}",
            "f.yaml:1:29: external.s3.secret_key: either env or file names where the value stands",
            None,
        ),
    ],
)
def test_a_mistake_is_one_sentence_at_its_place(text: str, message: str, hint: str | None) -> None:
    assert mistakes(text) == [(message, hint)]


def test_a_missing_key_names_what_it_is_missing_in() -> None:
    class Inner(BaseModel):
        model_config = ConfigDict(extra="forbid")
        size: int

    class Outer(BaseModel):
        model_config = ConfigDict(extra="forbid")
        inner: list[Inner]

    assert mistakes("inner:\n  - size: 1\n  - {}\n", Outer) == [
        ("f.yaml:3:5: size is missing in inner.1", None)
    ]
    assert mistakes("{}", Outer) == [("f.yaml:1:1: inner is missing", None)]


def test_bare_components_mean_the_defaults() -> None:
    for text in ("components: [mlflow, dask]", "components:\n  mlflow:\n  dask:\n"):
        assert list(load(Flavour, text, "f").components) == ["mlflow", "dask"]
    assert load(Flavour, "components:\n", "f").components == {}
