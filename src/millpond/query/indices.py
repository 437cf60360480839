"""Indices of Elasticsearch and OpenSearch in a query: ``elasticsearch.logs``, ``elasticsearch_search(…)``.

Read by the scroll API, which both have had in all their versions
(https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-scroll); the official clients each
serve one product and one major version of it.
"""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from millpond.model.errors import MillpondError
from millpond.query.adapters import Rows

_PAGE = 2000
_KEPT = "2m"
"""For how long the server keeps the place between two pages."""


class Indices:
    """Reads indices: fields of documents are columns, beside ``_index``, ``_id`` and the ``_source``.

    Args:
        url: the server's.
        headers: that sign requests; a secret is in them.
    """

    name = "elasticsearch"
    function: str | None = "elasticsearch_search"
    arguments = 2
    depth = 1

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self.where = url.rstrip("/")
        self._headers = {"Content-Type": "application/json", **headers}
        # No proxy leads back to this machine.
        near = urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")
        proxies = urllib.request.ProxyHandler({}) if near else urllib.request.ProxyHandler()
        self._opener = urllib.request.build_opener(proxies)

    @classmethod
    def found_in(cls, environment: Mapping[str, str]) -> Indices | None:
        """Those of the server that the environment names; None where it names none."""
        url = environment.get("ELASTICSEARCH_URL")
        if not url:
            return None
        headers = {}
        if key := environment.get("ELASTICSEARCH_API_KEY"):
            headers["Authorization"] = f"ApiKey {key}"
        elif user := environment.get("ELASTICSEARCH_USERNAME"):
            word = f"{user}:{environment.get('ELASTICSEARCH_PASSWORD', '')}"
            headers["Authorization"] = f"Basic {base64.b64encode(word.encode()).decode()}"
        return cls(url, headers)

    def names(self) -> list[str]:
        """The open indices, without the server's own.

        Raises:
            MillpondError: the server does not answer.
        """
        found = self._ask("GET", "/_cat/indices?format=json&h=index") or []
        return sorted(row["index"] for row in found if not row["index"].startswith("."))

    def read(self, name: Sequence[str], chosen: Sequence[str]) -> Rows | None:
        """The documents of an index, an alias or a pattern; see `Adapter.read`.

        What is chosen is an index, and a query in Lucene's language, which the server answers.

        Raises:
            MillpondError: the server does not answer, or refuses.
        """
        import pyarrow

        index, query = (chosen[0], chosen[1]) if chosen else (name[0], "")
        body: dict[str, Any] = {"size": _PAGE, "sort": ["_doc"]}
        if query:
            body["query"] = {"query_string": {"query": query}}
        path = f"/{quote(index, safe='*,-')}/_search?scroll={_KEPT}&allow_partial_search_results=false"
        first = self._ask("POST", path, body)
        if first is None:
            return None
        text = pyarrow.string()
        schema = pyarrow.schema({"_index": text, "_id": text, "_source": text})
        return Rows(schema, self._batches(first, schema), "_source")

    def _batches(self, page: dict[str, Any] | None, schema: Any) -> Iterator[Any]:
        import pyarrow

        place = None
        try:
            while page is not None:
                place = page.get("_scroll_id", place)
                if not (hits := page["hits"]["hits"]):
                    return
                rows = [(hit["_index"], hit["_id"], json.dumps(hit.get("_source"))) for hit in hits]
                columns = [pyarrow.array(column, pyarrow.string()) for column in zip(*rows, strict=True)]
                yield pyarrow.table(columns, schema=schema)
                page = self._ask("POST", "/_search/scroll", {"scroll": _KEPT, "scroll_id": place})
            raise MillpondError(
                f"Elasticsearch at {self.where} lost the place while its rows were read",
                hint=f"a page has to be read within {_KEPT}; ask for fewer rows",
            )
        finally:
            if place is not None:
                self._ask("DELETE", "/_search/scroll", {"scroll_id": place})

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        """What the server answers; None where it has no such thing."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.where + path, data, self._headers, method=method)
        try:
            with self._opener.open(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise MillpondError(
                f"Elasticsearch at {self.where} answered {error.code}: {_reason(error.read())}",
                hint="ELASTICSEARCH_API_KEY, or _USERNAME and _PASSWORD, sign in"
                if error.code in (401, 403)
                else None,
            ) from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise MillpondError(
                f"Elasticsearch at {self.where} cannot be reached: {reason}",
                hint="ELASTICSEARCH_URL says where it is",
            ) from None


def _reason(answer: bytes) -> str:
    try:
        found = json.loads(answer)["error"]
        causes = found.get("root_cause") or [found]
        return str(causes[0]["reason"]).partition("\n")[0]
    except (ValueError, KeyError, TypeError, AttributeError):
        return answer[:200].decode(errors="replace").partition("\n")[0]
