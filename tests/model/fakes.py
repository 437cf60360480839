"""A small catalogue for tests: interfaces and components from inline YAML."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from millpond.model import document
from millpond.model.component import Component
from millpond.model.flavour import Flavour
from millpond.model.interface import Interface
from millpond.model.platform import Platform
from millpond.model.resolve import resolve

INTERFACES = """
store:
  name: store
  summary: Keeps things
  default_provider: barn
  request:
    bucket: {help: Which bucket}
  properties:
    url: {help: Where it listens, type: url}
    key: {help: The key, secret: true}
    bucket: {help: The bucket, required: false, default: ""}
    login: {help: All in one, secret: true, required: false, default: "${url}?key=${key|urlquote}"}
  env: {STORE_URL: "${url}", STORE_KEY: "${key}"}
database:
  name: database
  summary: Tables
  default_provider: tables
  request:
    database: {help: Its name, default: "${platform.name}"}
  properties:
    uri: {help: The connection, secret: true}
    database: {help: Its name}
  env: {DATABASE_URI: "${uri}"}
metrics:
  name: metrics
  summary: Nobody provides it
  properties:
    url: {help: Where it listens}
"""

COMPONENTS = """
barn:
  provides:
    store:
      interface: store
      url: "${endpoints.http.url}"
      key: "${secrets.key}"
      bucket: "${request.bucket}"
  service:
    ports: {http: 9000}
    secrets: {key: {}}
    command: [barn]
silo:
  requires:
    inner: {interface: database, database: "silo-${options.size}"}
  provides:
    store: {interface: store, url: "${inner.uri}/${options.size}", key: "${secrets.key}"}
  options:
    size: {type: integer, default: 3, minimum: 1, maximum: 9, help: How large}
    kind: {type: string, default: round, choices: [round, square], help: Its shape}
    owner: {type: string, required: true, help: Whose it is}
  service:
    secrets: {key: {}}
    command: [silo]
tables:
  provides:
    database:
      interface: database
      grants: {password: {}}
      uri: "db://${asker|urlquote}:${grant.password|urlquote}@${endpoints.sql.address}/${request.database}"
      database: "${request.database}"
  service:
    ports: {sql: 5432}
    command: [tables]
mill:
  aliases: [grinder]
  options:
    stones: {type: integer, default: 2, help: How many}
  requires:
    grain: {interface: store, bucket: grain}
    ledger: {interface: database, database: mill}
    gauge: {interface: metrics, optional: true}
  service:
    ports: {http: 8000}
    command: [mill, "${grain.url}", "${ledger.uri}", "${gauge.url}"]
clock:
  requires:
    store: {interface: store}
  provides:
    metrics: {interface: metrics, url: "${store.url}"}
  service: {command: [clock]}
proxy:
  requires:
    behind: {interface: store, bucket: "${node}"}
  provides:
    front: {interface: store, url: "${endpoints.http.url}", key: "${behind.key}"}
  service:
    ports: {http: 9100}
    command: [proxy]
hen:
  requires: {egg: {interface: egg}}
  provides: {hen: {interface: hen}}
  service: {command: [hen]}
egg:
  requires: {hen: {interface: hen}}
  provides: {egg: {interface: egg}}
  service: {command: [egg]}
"""


class FakeCatalogue:
    """A catalogue of the components above."""

    @cached_property
    def interfaces(self) -> Mapping[str, Interface]:
        found = {
            name: Interface.model_validate(data)
            for name, data in document.read(INTERFACES, "interfaces").data.items()
        }
        for name in ("hen", "egg"):
            found[name] = Interface(name=name, summary=name, properties={})
        return found

    @cached_property
    def _components(self) -> Mapping[str, Component]:
        return {
            name: Component.model_validate(
                {"name": name, "summary": name, "version": "1", "licence": "MIT", **data}
            )
            for name, data in document.read(COMPONENTS, "components").data.items()
        }

    @property
    def names(self) -> list[str]:
        return sorted(self._components)

    def component(self, name: str) -> Component | None:
        found = self._components.get(name)
        return found or next((c for c in self._components.values() if name in c.aliases), None)


def platform(text: str) -> Platform:
    """A flavour's text resolved against the fake catalogue."""
    read = document.read(text, "f.yaml")
    return resolve(document.parse(Flavour, read), FakeCatalogue(), read)
