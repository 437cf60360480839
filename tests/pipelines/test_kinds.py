"""The kinds of step and the sinks that Millpond brings beside python, command and the lake."""

from __future__ import annotations

import json
import os
import shutil
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from millpond.model.errors import MillpondError
from millpond.pipelines.document import read_pipeline

from .conftest import Project


class Answers(BaseHTTPRequestHandler):
    """A server that keeps what it was sent and answers as the test says."""

    seen: list[tuple[str, str, dict[str, str], bytes]]
    answer: Any

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.seen.append((self.command, self.path, dict(self.headers), body))
        status, data = self.answer(self.command, self.path, body)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._handle
        raise AttributeError(name)

    def log_message(self, *args: Any) -> None:
        """Nothing: the test looks at `seen`."""


@contextmanager
def server(answer: Any) -> Iterator[tuple[str, list[tuple[str, str, dict[str, str], bytes]]]]:
    """An HTTP server on a port of its own; its address, and what it was sent."""
    seen: list[tuple[str, str, dict[str, str], bytes]] = []
    handler = type("Handler", (Answers,), {"seen": seen, "answer": staticmethod(answer)})
    made = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{made.server_port}", seen
    finally:
        made.shutdown()
        made.server_close()


def notebook(*cells: str) -> str:
    """A notebook of code cells, the first of which has the parameters."""
    made = []
    for number, source in enumerate(cells):
        tags = {"tags": ["parameters"]} if number == 0 else {}
        made.append(
            {
                "cell_type": "code",
                "id": f"c{number}",
                "metadata": tags,
                "source": source,
                "outputs": [],
                "execution_count": None,
            }
        )
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": made})


@pytest.mark.slow
def test_a_notebook_is_executed_and_its_copy_is_kept(project: Project) -> None:
    project.write(
        """
        name: book
        steps:
          table: {call: "steps:table", outputs: {table: {type: table, path: raw/book/t.parquet}}}
          read:
            use: notebook
            notebook: read.ipynb
            inputs: {table: "${table.table}"}
            with: {factor: 3}
            outputs:
              total: {type: number}
              notebook: {type: file, path: "notebooks/read.ipynb"}
          fails: {use: notebook, notebook: fails.ipynb}
        results: {Total: "${read.total}"}
        """,
        "import pandas as pd\ndef table(): return pd.DataFrame({'x': [1, 2, 3]})\n",
    )
    book = notebook(
        "table, factor, outputs = '', 1, {}",
        "import pandas, pathlib, helper\ntotal = helper.scaled(pandas.read_parquet(table), factor)",
        "print('the total is', total)\npathlib.Path(outputs['total']).write_text(str(total))",
    )
    (project.flow / "read.ipynb").write_text(book)
    (project.flow / "helper.py").write_text("def scaled(t, f): return int(t['x'].sum()) * f\n")
    (project.flow / "fails.ipynb").write_text(notebook("x = 1", "y = 2\nraise ValueError('no such well')"))
    record = project.run()
    assert record.results == {"Total": 18}, project.printed("read")
    copy = json.loads((project.lake / "notebooks/read.ipynb").read_bytes())
    printed = [output["text"] for cell in copy["cells"] for output in cell["outputs"] if "text" in output]
    assert "the total is 18\n" in "".join("".join(text) for text in printed)
    assert (record.folder / "steps/read.ipynb").is_file()
    error = record.steps["fails"].error or {}
    assert error["message"] == "cell 2 of fails.ipynb raised ValueError: no such well"
    assert (record.folder / "steps/fails.ipynb").is_file(), "what failed can be looked at"
    stored = json.loads(book)
    stored["cells"][2]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "old"}]
    (project.flow / "read.ipynb").write_text(json.dumps(stored))
    assert project.run().steps["read"].status == "cached", "results in the file are no code"


@pytest.mark.slow
def test_requests_and_the_sink_http(project: Project) -> None:
    def answer(method: str, path: str, body: bytes) -> tuple[int, bytes]:
        if path == "/missing":
            return 404, b'{"why": "no such thing"}'
        return 200, json.dumps({"method": method, "got": body.decode()}).encode()

    with server(answer) as (url, seen):
        project.write(
            f"""
            name: web
            parameters: {{word: {{type: string, default: mill}}}}
            steps:
              ask:
                use: http
                url: {url}/ask?word=${{parameters.word}}
                method: POST
                json: {{word: "${{parameters.word}}"}}
                headers_from: {{Authorization: MY_TOKEN}}
                outputs: {{answer: {{type: json}}}}
              missing: {{use: http, url: "{url}/missing"}}
              closed: {{use: http, url: "http://127.0.0.1:9/"}}
              table:
                call: steps:table
                outputs:
                  table:
                    type: table
                    path: raw/web/t.parquet
                    forks: [{{sink: http, url: "{url}/table", method: PUT}}]
            """,
            "import pandas as pd\ndef table(): return pd.DataFrame({'x': [1, 2]})\n",
        )
        project.environment = {"MY_TOKEN": "Bearer abc", "MILLPOND_FORWARD": "MY_TOKEN"}
        record = project.run()
        assert record.steps["ask"].outputs["answer"].value["got"] == '{"word": "mill"}'
        sent = {path: (method, headers, body) for method, path, headers, body in seen}
        assert sent["/ask?word=mill"][1]["Authorization"] == "Bearer abc"
        assert "abc" not in (record.folder / "run.json").read_text()
        assert sent["/table"][::2] == ("PUT", b"x\n1\n2\n")
        error = record.steps["missing"].error or {}
        assert error["message"] == f"GET {url}/missing answered 404"
        assert error["details"] == ['{"why": "no such thing"}']
        assert "cannot be reached" in (record.steps["closed"].error or {})["message"]


@pytest.mark.slow
def test_a_step_spreads_its_work_over_dask(project: Project) -> None:
    project.write(
        """
        name: spread
        steps:
          many: {use: dask, call: "steps:many", with: {count: 20}, outputs: {sum: {type: number}}}
        """,
        """
        def square(n): return n * n

        def many(client, count):
            return sum(client.gather(client.map(square, range(count), pure=False)))
        """,
    )
    record = project.run()
    assert record.steps["many"].error is None
    assert record.steps["many"].outputs["sum"].value == sum(n * n for n in range(20))


@pytest.mark.slow
def test_an_mlflow_project_is_run(project: Project) -> None:
    project.write(
        """
        name: projects
        steps:
          train:
            use: mlflow-project
            project: fit
            with: {alpha: 0.5}
            outputs: {run: {type: json}}
        """
    )
    fit = project.flow / "fit"
    fit.mkdir()
    (fit / "MLproject").write_text(
        "name: fit\nentry_points:\n  main:\n    parameters: {alpha: float}\n"
        '    command: "python fit.py {alpha}"\n'
    )
    (fit / "fit.py").write_text(
        "import sys, mlflow\nmlflow.log_metric('alpha', float(sys.argv[1]))\nprint('fitted', sys.argv[1])\n"
    )
    tracking = f"sqlite:///{project.folder}/mlflow.db"
    project.environment = {"MLFLOW_TRACKING_URI": tracking, "MLFLOW_DISABLE_TELEMETRY": "true"}
    record = project.run()
    assert record.steps["train"].error is None
    assert len(record.steps["train"].outputs["run"].value["run_id"]) == 32
    assert "fitted 0.5" in project.printed("train")


class FakeDatabricks:
    """A mock of the jobs API 2.2 of Databricks, as far as the kind uses it; no workspace is behind it."""

    def __init__(self) -> None:
        self.jobs: dict[int, dict[str, Any]] = {}
        self.runs: dict[str, int] = {}
        self.looks = 0
        self.result = "SUCCESS"

    def __call__(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        return 200, json.dumps(self.answer(path.partition("?")[0].rpartition("2.2/jobs/")[2], body)).encode()

    def answer(self, call: str, body: bytes) -> dict[str, Any]:
        data = json.loads(body or b"{}")
        match call:
            case "list":
                return {"jobs": [{"job_id": job} for job in self.jobs]}
            case "create":
                self.jobs[7] = data
                return {"job_id": 7}
            case "get":
                return {"job_id": 7, "settings": {**self.jobs[7], "format": "MULTI_TASK"}}
            case "reset":
                self.jobs[7] = data["new_settings"]
            case "run-now":
                return {"run_id": self.runs.setdefault(data["idempotency_token"], 70 + len(self.runs))}
            case "runs/get":
                self.looks += 1
                over = {
                    "life_cycle_state": "TERMINATED",
                    "result_state": self.result,
                    "state_message": "it broke",
                }
                state = over if self.looks % 2 == 0 else {"life_cycle_state": "RUNNING"}
                return {"state": state, "run_page_url": "https://example.org/run/70"}
        return {}


@pytest.mark.slow
def test_a_databricks_job_is_brought_to_its_state_and_run_against_a_mock(project: Project) -> None:
    fake = FakeDatabricks()
    pipeline = """
        name: bricks
        steps:
          job:
            use: databricks
            job: {name: nightly, tasks: [{task_key: a, notebook_task: {notebook_path: /a}}]}
            poll: 100ms
            with: {date: 2026-11-24}
            outputs: {run: {type: json}}
        """
    with server(fake) as (url, seen):
        project.environment = {"DATABRICKS_HOST": url, "DATABRICKS_TOKEN": "secret-token"}
        project.write(pipeline)
        record = project.run()
        assert record.steps["job"].error is None
        found = record.steps["job"].outputs["run"].value
        assert (found["job_id"], found["result"]) == (7, "SUCCESS")
        assert "secret-token" not in (record.folder / "run.json").read_text()
        calls = called(seen)
        assert calls == ["list", "create", "run-now", "runs/get", "runs/get"]

        seen.clear()
        project.write(pipeline.replace("/a}", "/b}"))
        fake.result = "FAILED"
        record = project.run()
        calls = called(seen)
        assert calls[:4] == ["list", "get", "reset", "run-now"]
        assert (record.steps["job"].error or {})["message"] == "the run 71 of the job failed: it broke"

        seen.clear()
        project.run()
        calls = called(seen)
        assert calls[:3] == ["list", "get", "run-now"], "a job that is as it should be is left alone"


def called(seen: list[tuple[str, str, dict[str, str], bytes]]) -> list[str]:
    """Which calls of the jobs API were made; what the SDK asks for by itself is left out."""
    paths = [path.partition("?")[0] for _, path, _, _ in seen]
    return [path.rpartition("/2.2/jobs/")[2] for path in paths if "/2.2/jobs/" in path]


def stand_in(folder: Path, name: str, text: str) -> None:
    """A shell script that stands in for a program that this machine may not have."""
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(f"#!/bin/sh\n{text}")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


@pytest.mark.slow
def test_r_and_containers_get_their_files_and_values_with_stand_ins(project: Project) -> None:
    """Neither R nor a container engine runs here: shell scripts stand in, and show what they are given."""
    text = """
        name: programs
        steps:
          words: {use: command, run: "printf 'one two' > ${outputs.text}", outputs: {text: {type: text}}}
          r:
            use: r
            script: count.R
            inputs: {text: "${words.text}"}
            with: {by: word, least: 2}
            outputs: {out: {type: text}}
          container:
            use: container
            image: example.org/count@sha256:00
            run: [count, "${inputs.text}", "${outputs.out}"]
            env: {LEVEL: high}
            inputs: {text: "${words.text}"}
            outputs: {out: {type: text}}
        """
    programs = project.folder / "programs"
    stand_in(programs, "Rscript", 'echo "$@ of $(cat $MILLPOND_INPUT_TEXT)" > "$MILLPOND_OUTPUT_OUT"\n')
    stand_in(programs, "docker", 'echo "$@" > "$MILLPOND_OUTPUT_OUT"\n')
    project.write(text)
    (project.flow / "count.R").write_text("# nothing\n")
    for name in ("DASK_SCHEDULER_ADDRESS", "PATH"):
        project.environment.pop(name, None)
    # Workers of the run's own, as those of the shared cluster have another PATH.
    project.environment = {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "DASK_SCHEDULER_ADDRESS": "",
    }
    record = project.run()
    assert record.status == "succeeded", {n: s.error for n, s in record.steps.items()}
    assert record.steps["r"].outputs["out"].value == "--vanilla count.R by=word least=2 of one two\n"
    said = record.steps["container"].outputs["out"].value.split()
    assert said[:3] == ["run", "--rm", "--name"]
    assert said[-4:-2] == ["example.org/count@sha256:00", "count"]
    assert "--env LEVEL=high" in " ".join(said)
    assert "--env MILLPOND_INPUT_TEXT" in " ".join(said)

    if shutil.which("Rscript") is None:
        project.environment = {"DASK_SCHEDULER_ADDRESS": ""}
        error = project.run(force=["r"]).steps["r"].error or {}
        assert error["message"] == "Rscript is not on the PATH of this machine"


@pytest.mark.parametrize(
    ("step", "place", "message"),
    [
        ("{use: notebook, notebook: none.ipynb}", ":3:", "there is no file none.ipynb"),
        ("{use: notebook, notebook: bad.ipynb}", ":3:", "bad.ipynb is no notebook of format 4"),
        ("{use: http, url: 'ftp://x'}", ":3:", "ftp://x is no address of HTTP"),
        ("{use: http, url: 'http://x', methd: GET}", ":3:", "unknown key methd"),
        ("{use: r, script: none.R}", ":3:", "there is no file none.R"),
        ("{use: mlflow-project, project: none}", ":3:", "there is no none/MLproject"),
        ("{use: databricks, job: {tasks: [{}]}}", ":3:", "a job needs a name"),
        ("{use: container, image: x, with: {a: 1}}", ":3:", "a container takes no values under with"),
        (
            "{use: command, run: [x], outputs: {t: {type: json, sink: postgres, table: t}}}",
            ":3:",
            "a json is no table",
        ),
        (
            "{use: command, run: [x], outputs: {t: {type: table, sink: postgres, table: A b}}}",
            ":3:",
            "A b cannot be the name of a table",
        ),
    ],
)
def test_what_is_wrong_with_a_kind_is_told_with_its_place(
    tmp_path: Path, step: str, place: str, message: str
) -> None:
    (tmp_path / "bad.ipynb").write_text("{}")
    (tmp_path / "pipeline.yaml").write_text(f"name: x\nsteps:\n  a: {step}\n")
    with pytest.raises(MillpondError, match=place) as caught:
        read_pipeline(tmp_path)
    assert message in str(caught.value)
