"""Datasets: told of, versioned, found, published."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from millpond.cli.environments import installed, shipped
from millpond.cli.inside import INSIDE
from millpond.cli.root import root
from millpond.cli.session import Session
from millpond.lake.datasets import dcat
from millpond.lake.datasets.dataset import Column, Dataset, File, Version
from millpond.lake.datasets.page import pages
from millpond.lake.datasets.shelf import Shelf
from millpond.model.errors import MillpondError
from starter import Starter

FIRST = Version(
    1,
    "s3://raw/flights.csv",
    "2026-01-01T00:00:00Z",
    (File("s3://raw/flights.csv", 89, "aa"),),
    "csv",
    3,
    (Column("delay", "DOUBLE", 0.1, 3, "1", "9", "4.5", "2"), Column("day", "DATE")),
    ({"delay": 1.5, "day": "2013-01-01"}, {"delay": None, "day": "<b>"}),
)
FLIGHTS = Dataset(
    "flights",
    {"en": "Flights </script><script>", "fr": "Vols d'été"},
    {"en": "Delays & more"},
    {"en": ["air"], "fr": ["retard"]},
    "Ana",
    "CC-BY-4.0",
    "2026-01-01T00:00:00Z",
    "2026-01-01T00:00:00Z",
    (FIRST,),
)


def test_other_bytes_are_a_new_version_and_the_same_are_not() -> None:
    again = FLIGHTS.with_version(replace(FIRST, added="2026-02-01T00:00:00Z"))
    assert [version.number for version in again.versions] == [1] and again.latest.added == FIRST.added
    changed = replace(FIRST, files=(File("s3://raw/flights.csv", 90, "bb"),), added="2026-02-01T00:00:00Z")
    newer = FLIGHTS.with_version(changed)
    assert [version.number for version in newer.versions] == [1, 2]
    assert newer.version(1) == FIRST and newer.version(None).number == 2
    with pytest.raises(MillpondError, match="has no version 3"):
        newer.version(3)


def test_the_same_bytes_at_a_later_commit_are_the_same_version() -> None:
    at = [replace(FIRST, files=(File(f"lake://flights@{commit}/a.csv", 1, "x"),)) for commit in ("c1", "c2")]
    assert len(Dataset("flights").with_version(at[0]).with_version(at[1]).versions) == 1


def test_what_is_said_is_added_to() -> None:
    found = FLIGHTS.told(title={"fr": "Vols"}, owner=None, licence="", keywords={})
    assert found.title == {"en": "Flights </script><script>", "fr": "Vols"} and found.owner == "Ana"
    assert Dataset("x").missing() == [
        "a title in en",
        "a title in fr",
        "a description",
        "an owner",
        "a licence",
    ]
    assert FLIGHTS.missing() == []


@pytest.mark.parametrize(
    ("words", "found"),
    [(["RETARD"], True), (["delay", "ana"], True), (["été"], True), (["delay", "ship"], False)],
)
def test_words_are_searched_everywhere(words: list[str], found: bool) -> None:
    assert FLIGHTS.matches(words) is found


def test_the_document_is_read_back() -> None:
    assert Dataset.from_dict(json.loads(json.dumps(FLIGHTS.as_dict()))) == FLIGHTS
    with pytest.raises(MillpondError, match="has the layout 2"):
        Dataset.from_dict({**FLIGHTS.as_dict(), "layout": 2})


def race(shelf: Shelf) -> Dataset:
    """Six people say something of the same dataset at once."""
    barrier = threading.Barrier(6)

    def say(number: int) -> None:
        barrier.wait()
        shelf.change("raced", lambda before: before.told(keywords={f"x{number}": ["y"]}))

    threads = [threading.Thread(target=say, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return shelf.get("raced")


@pytest.mark.slow
def test_nothing_is_lost_where_many_write(lake: Starter) -> None:
    assert len(race(Shelf(lake.env)).keywords) == 6


def test_a_missing_dataset_is_told_with_the_nearest(tmp_path: Path) -> None:
    shelf = Shelf({"MILLPOND_LAKE_ROOT": str(tmp_path)})
    assert shelf.names() == []
    shelf.change("flights", lambda before: FLIGHTS)
    with pytest.raises(MillpondError, match="there is no dataset flight") as caught:
        shelf.get("flight")
    assert caught.value.hint == "did you mean flights?"
    with pytest.raises(MillpondError, match="cannot be a dataset's name"):
        shelf.get("../flights")


def test_the_catalogue_is_dcat() -> None:
    document = dcat.catalogue(
        [FLIGHTS], name="mill", base="https://data.example.org/", modified=FLIGHTS.modified
    )
    assert list(dcat.problems(document)) == []
    (found,) = document["dcat:dataset"]
    assert found["@id"] == "https://data.example.org/#flights"
    assert {"@value": "Vols d'été", "@language": "fr"} in found["dct:title"]
    (distribution,) = found["dcat:distribution"]
    assert distribution["dcat:mediaType"]["@id"].endswith("/text/csv")
    assert [c["csvw:datatype"] for c in distribution["csvw:tableSchema"]["csvw:column"]["@list"]] == [
        "double",
        "date",
    ]
    (version,) = found["dcat:hasVersion"]
    assert version["dcat:isVersionOf"] == {"@id": found["@id"]}
    assert list(dcat.problems(dcat.catalogue([Dataset("bare", versions=(FIRST,))], name="mill"))) == []


def test_what_is_not_dcat_is_told() -> None:
    document = dcat.catalogue([FLIGHTS], name="mill")
    document["dcat:dataset"][0]["dcat:colour"] = "blue"
    del document["dcat:dataset"][0]["dct:title"]
    found = list(dcat.problems(document))
    assert found == [
        "/dcat:dataset[0]: dcat:Dataset has no dcat:colour",
        "/dcat:dataset[0]: dcat:Dataset lacks dct:title",
    ]


def test_the_page_is_in_two_languages_and_runs_nothing_that_somebody_wrote() -> None:
    found = pages([FLIGHTS], dcat.catalogue([FLIGHTS], name="mill"), name="mill")
    assert set(found) == {"catalogue.jsonld", "index.html", "index.fr.html"}
    for text in (found["index.html"], found["index.fr.html"]):
        assert text.count("</script>") == 1 and "<b>" not in text
    assert "<h2>Flights &lt;/script&gt;" in found["index.html"] and 'lang="en"' in found["index.html"]
    assert "<h2>Vols d&#x27;été</h2>" in found["index.fr.html"] and "Propriétaire" in found["index.fr.html"]
    script = found["index.html"].partition('<script type="application/ld+json">')[2].partition("</script>")[0]
    assert json.loads(script) == json.loads(found["catalogue.jsonld"])


def test_the_commands_show_find_and_publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLPOND_LAKE_ROOT", str(tmp_path / "lake"))
    monkeypatch.chdir(tmp_path)
    Shelf().change("flights", lambda before: FLIGHTS)

    def call(*arguments: str) -> Any:
        monkeypatch.setenv(INSIDE, "lake")
        return CliRunner().invoke(
            root, ["dataset", *arguments], obj=Session(tmp_path), catch_exceptions=False
        )

    assert "flights  1        3     89 B  Ana" in call("list").stdout
    assert [found["name"] for found in json.loads(call("search", "retard", "--json").stdout)] == ["flights"]
    assert json.loads(call("search", "ship", "--json").stdout) == []
    shown = call("show", "flights").stdout
    assert "title (fr)" in shown and "delay   DOUBLE  10.0%    1     9   4.5" in shown
    written = call("publish", "./site", "--name", "mill").stdout.splitlines()
    assert [Path(path).name for path in written] == ["catalogue.jsonld", "index.html", "index.fr.html"]
    call("publish")
    assert (tmp_path / "lake/datasets/published/index.html").is_file()
    assert "flights" in call("list").stdout


MAKE = """
import sys, duckdb
from pathlib import Path
from millpond import lake
folder = Path(sys.argv[1])
duckdb.sql("CREATE TABLE t AS SELECT range AS id, range * 1.5 AS x, 'a' || range AS name FROM range(1000)")
duckdb.sql(f"COPY t TO '{folder}/t.parquet'")
duckdb.sql(f"COPY t TO '{folder}/t.json'")
for half in (0, 1):
    duckdb.sql(f"COPY (SELECT * FROM t WHERE id % 2 = {half}) TO '{folder}/half{half}.csv'")
    lake.cp(f"{folder}/half{half}.csv", f"raw/halves/{half}.csv")
lake.cp(f"{folder}/t.parquet", "raw/t.parquet")
lake.cp(f"{folder}/t.json", "raw/t.json")
lake.write("raw/picture.bin", b"123")
repo = lake.create_repo("measured")
repo.put(folder / "t.parquet")
import json
from millpond.lake.datasets.contents import contents
from millpond.lake.datasets.profile import profile
found = {}
for path in ("raw/t.parquet", "raw/t.json", "raw/halves", "raw/picture.bin", "lake://measured@main/t.parquet"):
    with contents(path) as there:
        told = profile(there.copies, samples=2)
    numbers = {c.name: [c.type, c.distinct is not None, c.min, c.max, c.mean] for c in told.columns}
    found[path] = [there.uri, told.format, told.rows, numbers, len(told.samples)]
print(json.dumps(found))
"""


@pytest.mark.slow
def test_files_are_looked_into(lake: Starter, tmp_path: Path) -> None:
    """CSV, JSON, Parquet, a folder as one table, and a file of a repository."""
    install = asyncio.run(installed(shipped("sql")))
    env = {**lake.env, **install.env, "PATH": "/usr/bin:/bin", "MILLPOND_CACHE_DIR": str(tmp_path / "cache")}
    command = [str(install.bin[0] / "python"), "-c", MAKE, str(tmp_path)]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    for path in ("raw/t.parquet", "raw/t.json", "raw/halves", "lake://measured@main/t.parquet"):
        _, _, rows, numbers, samples = found[path]
        assert (rows, samples) == (1000, 2) and numbers["id"][2:4] == ["0", "999"], path
        assert float(numbers["x"][4]) == pytest.approx(749.25)
        assert numbers["name"][0] == "VARCHAR"
    assert found["raw/halves"][1] == "csv" and found["raw/t.json"][1] == "json"
    assert found["raw/picture.bin"][1:3] == ["bin", None]
    assert found["lake://measured@main/t.parquet"][0].startswith("lake://measured@")
    assert "@main" not in found["lake://measured@main/t.parquet"][0]


@pytest.mark.slow
def test_a_dataset_is_told_of(lake: Starter) -> None:
    (lake.project / "delays.csv").write_text("delay,day\n1,2013-01-01\n,2013-01-02\n")
    lake.millpond("lake", "cp", "./delays.csv", "raw/delays.csv")
    told = ("--title", "Delays", "--owner", "Ana", "--keyword", "air")
    first = lake.millpond("dataset", "add", "delays", "raw/delays.csv", *told)
    assert "delays has version 1: 1 file, 35 B, 2 rows, 2 columns" in first.stderr
    assert "nobody has said of it: a title in fr, a description, a licence" in first.stderr
    found = json.loads(lake.millpond("dataset", "show", "delays", "--json").stdout)
    assert [column["type"] for column in found["versions"][0]["columns"]] == ["BIGINT", "DATE"]
    assert found["versions"][0]["columns"][0]["nulls"] == 0.5
