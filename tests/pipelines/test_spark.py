"""Steps on Spark: in local mode, and on a standalone cluster of one master and one worker."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from loopback import free_port
from millpond.cli.running import step_environments
from millpond.model.errors import MillpondError
from millpond.pipelines.document import read_pipeline
from millpond.pipelines.record import RunRecord
from millpond.targets.local.installs import InstallRequest, InstallStore

from .conftest import SOURCE, Project

PIPELINE = """
name: sparks
parameters: {master: {type: string, default: "local[2]"}}
steps:
  flights: {call: "data:flights", outputs: {flights: {type: table, path: raw/sparks/f.parquet}}}
  names: {call: "data:names", outputs: {names: {type: table, path: raw/sparks/n.csv}}}
  late:
    use: spark
    call: steps:late
    master: "${parameters.master}"
    conf:
      spark.sql.shuffle.partitions: 2
      spark.executor.memory: 512m
      spark.cores.max: 1
      # What pays off for large tables alone.
      spark.sql.codegen.wholeStage: false
      spark.sql.adaptive.enabled: false
      spark.driver.extraJavaOptions: -XX:TieredStopAtLevel=1 -XX:+UseSerialGC
      spark.executor.extraJavaOptions: -XX:TieredStopAtLevel=1 -XX:+UseSerialGC
    inputs: {flights: "${flights.flights}", names: "${names.names}"}
    with: {least: 1.5}
    outputs:
      table: {type: table, path: results/sparks/late.parquet}
      count: {type: number}
      told: {type: json}
  after:
    call: data:after
    inputs: {table: "${late.table}"}
    outputs: {rows: {type: json}}
results: {rows: "${after.rows}", count: "${late.count}", told: "${late.told}"}
"""
DATA = """
import pandas as pd
def flights():
    days = pd.to_datetime(["2013-01-01 10:00"] * 4)
    return pd.DataFrame({"carrier": ["UA", "UA", "AA", "DL"], "delay": [1.0, 3.0, 2.0, None], "day": days})
def names(): return pd.DataFrame({"carrier": ["UA", "AA"], "name": ["United", "American"]})
def after(table): return [[row.name, row.delay, str(row.day)] for row in table.itertuples(index=False)]
"""
STEPS = """
from pyspark.sql import functions as F
from loud import loud

def late(spark, flights, names, least):
    print("spark is", spark.version)
    found = flights.groupBy("carrier").agg(F.avg("delay").alias("delay"), F.max("day").alias("day"))
    upper = F.udf(loud, "string")
    found = found.where(F.col("delay") > least).join(names, "carrier").orderBy("carrier")
    found = found.select(upper("name").alias("name"), "delay", "day")
    return {"table": found, "count": flights.count(), "told": {"master": spark.sparkContext.master}}
"""
ROWS = [["AMERICAN", 2.0, "2013-01-01 10:00:00"], ["UNITED", 2.0, "2013-01-01 10:00:00"]]


def run(project: Project, **parameters: str) -> RunRecord:
    project.write(PIPELINE, STEPS, data=DATA, loud="def loud(text): return text.upper()\n")
    project.events = []
    launch = project.launch(parameters)
    found = step_environments(launch.pipeline, launch.steps, project.folder / ".millpond")
    with launch.start(project.cluster.python, project.env(), found) as running:
        project.events.extend(running)
        return running.record


@pytest.fixture(scope="module")
def spark() -> Path:
    """The interpreter of the environment of the kind."""
    folder = SOURCE / "millpond/catalogue/environments/spark"
    request = InstallRequest("spark", folder, {"pip": "requirements.lock"})
    return asyncio.run(InstallStore().ensure(request)).paths["pip"] / "bin/python"


@pytest.fixture(scope="module")
def master(spark: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A standalone cluster, by the classes that pyspark's package brings."""
    folder = tmp_path_factory.mktemp("standalone")
    java = shutil.which("java")
    listed = subprocess.run([java or "false", "--list-modules"], capture_output=True, text=True).stdout
    if java is None or "jdk.incubator.vector" not in listed:
        pytest.skip("the processes of a standalone cluster need a whole Java, of 17 or later")
    ask = "import pyspark, os; print(os.path.dirname(pyspark.__file__))"
    home = subprocess.run([spark, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()
    address = f"spark://127.0.0.1:{free_port()}"
    deploy = "org.apache.spark.deploy"
    local = ["--host", "127.0.0.1"]
    host, port = address.removeprefix("spark://").split(":")
    own = {
        "SPARK_HOME": home,
        "SPARK_SCALA_VERSION": "2.13",
        "SPARK_NO_DAEMONIZE": "1",
        "SPARK_LOCAL_IP": host,
    }
    own |= {"SPARK_WORKER_DIR": str(folder), "PYSPARK_PYTHON": str(spark)}

    @contextmanager
    def started(name: str, ready: str, *arguments: str) -> Iterator[None]:
        argv = [
            java,
            "-Xmx256m",
            "-XX:TieredStopAtLevel=1",
            "-cp",
            f"{home}/jars/*",
            f"{deploy}.{name}",
        ]
        argv += [*arguments, *local, "--webui-port", str(free_port())]
        log = folder / f"{name}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(argv, env={**os.environ, **own}, stdout=file, stderr=file, cwd=folder)
        try:
            end = time.monotonic() + 60
            while not re.search(ready, log.read_text()):
                assert process.poll() is None and time.monotonic() < end, log.read_text()
                time.sleep(0.05)
            yield
        finally:
            process.terminate()
            process.wait(20)

    with ExitStack() as stack:
        stack.enter_context(started("master.Master", "I have been elected leader", "--port", port))
        worker = ["--port", str(free_port()), "--cores", "1", "--memory", "1g", address]
        stack.enter_context(started("worker.Worker", "Successfully registered with master", *worker))
        yield address


@pytest.mark.slow
def test_a_function_works_with_spark_on_this_machine(project: Project) -> None:
    record = run(project)
    assert record.steps["late"].error is None, project.printed("late")
    assert record.results == {"rows": ROWS, "count": 4, "told": {"master": "local[2]"}}
    assert "spark is 4." in project.printed("late")
    assert run(project).steps["late"].status == "cached"


@pytest.mark.slow
def test_the_same_function_works_on_a_standalone_cluster(project: Project, master: str) -> None:
    record = run(project, master=master)
    assert record.steps["late"].error is None, project.printed("late")
    assert record.results == {"rows": ROWS, "count": 4, "told": {"master": master}}


def test_a_master_that_no_step_can_use_is_told(tmp_path: Path) -> None:
    (tmp_path / "data.py").write_text("def f(spark): ...\n")
    (tmp_path / "pipeline.yaml").write_text(
        "name: p\nsteps:\n  a: {use: spark, call: data:f, master: yarn}\n  b: {use: spark, call: data:g}\n"
    )
    with pytest.raises(MillpondError) as caught:
        read_pipeline(tmp_path / "pipeline.yaml")
    told = str(caught.value)
    assert "yarn is no master that a step can use" in told
