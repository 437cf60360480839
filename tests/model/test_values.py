"""Linking: what an expression means on a platform, which of it is secret, and what is refused."""

from __future__ import annotations

import pytest

from millpond.model.component import Component
from millpond.model.interface import Interface
from millpond.model.platform import USER
from millpond.model.scope import Scope, bound, check, check_interface
from millpond.model.value import Atom, Elsewhere, Endpoint, Secret, Value

from .fakes import FakeCatalogue, platform


def told(atom: Atom) -> str:
    """Atoms as a target would tell them."""
    match atom:
        case Secret(node, name, grant):
            return f"<{node}.{name}{f' for {grant}' if grant else ''} a/b>"
        case Endpoint(node, port, part):
            return f"{node}-{port}-{part}"
    return str(atom)


def value(text: str, template: str, node: str = "mill") -> Value:
    found = platform(text)
    return Scope(found, found.nodes[node]).value(template)


def test_a_value_goes_through_two_components() -> None:
    found = value("components: {mill: {}, silo: {owner: me, size: 4}}", "${grain.url}")
    assert found.realise(told) == (
        "db://silo:%3Ctables.password%20for%20silo.inner%20a%2Fb%3E@tables-sql-address/silo-4/4"
    )


def test_what_contains_a_secret_is_secret_also_through_filters_and_defaults() -> None:
    text = "components: {mill: {}}"
    assert value(text, "${ledger.uri}").secret
    assert value(text, "${grain.login}").secret
    assert not value(text, "${grain.url}").secret
    assert not value(text, "${ledger.database}").secret
    assert value(text, "${grain.login}").realise(told) == "barn-http-url?key=%3Cbarn.key%20a%2Fb%3E"


def test_each_asker_has_its_own_grant() -> None:
    found = platform("components: {mill: {}, silo: {owner: me}}")
    askers = found.askers("tables")
    assert [name for name, _ in askers] == ["mill", "silo", USER]
    grants = [
        atom.grant
        for name, binding in askers
        for atom in bound(found, name, binding, "uri").atoms()
        if isinstance(atom, Secret)
    ]
    assert grants == ["mill.ledger", "silo.inner", "user.database"]


def test_a_request_falls_back_to_the_interfaces_default() -> None:
    found = platform("name: pond\ncomponents: {tables: {}}")
    assert bound(found, USER, found.user["database"], "database") == Value.of("pond")


def test_what_is_not_met_is_empty() -> None:
    found = value("components: {mill: {}}", "${gauge.url}")
    assert found.empty and not found.secret and found.realise(told) == ""


def test_options_are_text() -> None:
    assert value("components: {mill: {stones: 7}}", "n=${options.stones}") == Value.of("n=7")


def test_a_service_of_ones_own_tells_its_properties() -> None:
    text = "components: {mill: {}}\nexternal: {store: {url: 'http://s', key: {env: KEY}}}\n"
    assert value(text, "${grain.url}") == Value.of("http://s")
    assert value(text, "${grain.key}") == Value((Elsewhere("KEY", None, True),))
    assert value(text, "${grain.key}").secret
    assert value(text, "${grain.bucket}") == Value.of("grain")


def test_equal_texts_are_equal_however_they_were_linked() -> None:
    text = "components: {mill: {stones: 7}}"
    assert value(text, "a${options.stones}b") == value(text, "a7b")


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("${grain.url}", None),
        ("${endpoints.http.url}", None),
        ("${bind}:${ports.http}", None),
        ("${install.pip}/bin", None),
        ("${platform.name}", None),
        ("${grian.url}", "${grian.url}: nothing is called grian here; did you mean grain?"),
        ("${grain.uri}", "${grain.uri}: grain has no uri; did you mean url?"),
        ("${grain}", "${grain}: grain needs a name after it: url, key, bucket, login"),
        ("${grain.url.x}", "${grain.url.x}: url has no parts"),
        ("${bind.x}", "${bind.x}: bind has no parts"),
        ("${options.stone}", "${options.stone}: options has no stone; did you mean stones?"),
        ("${volumes.data}", "${volumes.data}: the component has no volumes"),
        ("${endpoints.http}", "${endpoints.http}: an endpoint has url, host, port, address"),
        ("${endpoints.http.uri}", "${endpoints.http.uri}: an endpoint has url, host, port, address"),
        ("${request.bucket}", "${request.bucket}: nothing is called request here; known are bind, "),
        ("${grain.url", "${ is not closed in '${grain.url'"),
    ],
)
def test_expressions_are_checked_when_their_file_is_read(template: str, reason: str | None) -> None:
    catalogue = FakeCatalogue()
    component = catalogue.component("mill")
    assert component is not None
    found = check(template, component, catalogue.interfaces)
    assert found == reason or (found and reason and reason.endswith(", ") and found.startswith(reason))


def test_a_command_holds_no_secret() -> None:
    catalogue = FakeCatalogue()
    component = catalogue.component("mill")
    assert component is not None
    assert check("--url=${grain.url}", component, catalogue.interfaces, command=True) is None
    assert check("${grain.key}", component, catalogue.interfaces) is None
    refused = check("--key=${grain.key}", component, catalogue.interfaces, command=True)
    assert refused and refused.startswith("${grain.key}: everybody sees a command's arguments")


def test_a_provision_may_speak_of_its_asker() -> None:
    catalogue = FakeCatalogue()
    tables = catalogue.component("tables")
    assert tables is not None
    for template in ("${asker}", "${grant.password}", "${request.database}"):
        assert check(template, tables, catalogue.interfaces, grants="database") is None
        assert check(template, tables, catalogue.interfaces) is not None


def test_a_requirement_cannot_take_a_word_that_means_something_else() -> None:
    with pytest.raises(ValueError, match="a requirement cannot be called ports"):
        Component.model_validate(
            {
                "name": "x",
                "summary": "x",
                "version": "1",
                "licence": "MIT",
                "requires": {"ports": {"interface": "store"}},
                "service": {"command": ["x"]},
            }
        )


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, None),
        (
            {"env": {"A": "${urll}"}},
            (("env", "A"), "${urll}: i has no such property; did you mean url?"),
        ),
        (
            {"properties": {"a": {"help": "a", "default": "${b}"}, "b": {"help": "b", "default": "${a}"}}},
            (("properties", "a", "default"), "the default of a speaks of itself"),
        ),
        (
            {"request": {"r": {"help": "r", "default": "${url}"}}},
            (("request", "r", "default"), "${url}: only ${platform.name} is known here"),
        ),
        ({"check": {"http": "${url"}}, (("check", "http"), "${ is not closed in '${url'")),
    ],
)
def test_an_interfaces_expressions_are_checked(changes: dict[str, object], found: object) -> None:
    interface = Interface.model_validate(
        {"name": "i", "summary": "i", "properties": {"url": {"help": "u"}}, **changes}
    )
    assert check_interface(interface) == found
