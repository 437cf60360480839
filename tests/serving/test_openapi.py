"""The OpenAPI page of a deployment, held against the server by schemathesis, which makes requests of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from model_servers import ModelServer

# Not asked for: that all which fits the schemas is taken. That shape and data agree is beyond a schema.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "unsupported_method",
    "allow_header_conformance",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["waiting", "iris", "kinds", "sums", "mirror"])
def test_whatever_the_page_allows_is_answered_as_the_page_says(
    model_servers: dict[str, ModelServer], name: str, tmp_path: Path
) -> None:
    server = model_servers[name]
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--no-color", "run"),
        f"http://127.0.0.1:{server.port}/openapi.json",
        *("--checks", ",".join(CHECKS), "--phases", "examples,coverage,fuzzing"),
        *("--max-examples", "30", "--seed", "1", "--generation-database", "none", "--continue-on-failure"),
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout
    assert "Tested: 21" in done.stdout
    assert server.log.read_text().count("Traceback") == 0


def test_the_page_knows_the_models_columns(model_servers: dict[str, ModelServer]) -> None:
    page = model_servers["waiting"].ask("/openapi.json").json
    body = page["paths"]["/v1/models/waiting:predict"]["post"]["requestBody"]["content"]["application/json"]
    row = body["schema"]["properties"]["instances"]["items"]["anyOf"][0]
    assert row["required"] == ["TYPE_WACHTTIJD", "SPECIALISME", "ROAZ_REGIO", "TYPE_ZORGINSTELLING"]
    assert row["properties"]["ROAZ_REGIO"] == {"type": ["string", "null"]}


@pytest.mark.parametrize("name", ["waiting", "iris", "kinds", "sums"])
def test_the_pages_examples_are_predicted(model_servers: dict[str, ModelServer], name: str) -> None:
    server = model_servers[name]
    paths = server.ask("/openapi.json").json["paths"]
    for path in (
        f"/v1/models/{name}:predict",
        f"/v2/models/{name}/infer",
        f"/v2/models/{name}/versions/3/infer",
    ):
        content = paths[path]["post"]["requestBody"]["content"]["application/json"]
        answer = server.ask(path, content["example"])
        assert answer.status == 200, answer.body
