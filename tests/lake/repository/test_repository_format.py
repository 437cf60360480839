"""What stands in the documentation reads a repository, without Millpond."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from millpond.lake.repository import places
from millpond.lake.repository.pack import DamagedError, Pack, key_of, read_index, squeeze
from millpond.lake.repository.repository import Repository

PAGE = Path(__file__).parents[3] / "docs/reference/repository-format.md"


def test_the_reader_of_the_documentation_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLPOND_CACHE_DIR", str(tmp_path / "cache"))
    repo = places.create("flights", {"MILLPOND_LAKE_ROOT": str(tmp_path / "lake")})
    files = {f"d/{number}": f"text {number} ".encode() * number for number in range(600)}
    files |= {"large": random.Random(3).randbytes(2 << 20), "empty": b""}
    with repo.commit() as change:
        for name, data in files.items():
            change.write(name, data)
        (tmp_path / "cut").write_bytes(files["large"])
        change.put(tmp_path / "cut", "cut")
    found = re.search(r"```python read_repository.py\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    script = tmp_path / "read_repository.py"
    script.write_text(found[1])
    top = tmp_path / "lake/repositories/flights"
    subprocess.run([sys.executable, "-I", str(script), str(top), "main", str(tmp_path / "out")], check=True)
    for name, data in (files | {"cut": files["large"]}).items():
        assert (tmp_path / "out" / name).read_bytes() == data, name


def test_a_pack_tells_what_it_has(repo: Repository) -> None:
    pack = Pack()
    texts = [b"short", b"long " * 1000, bytes(range(256)) * 3]
    blobs = [pack.add(f"{number:064}", squeeze(text), len(text)) for number, text in enumerate(texts)]
    repo.objects.create(key_of(pack.name), pack.bytes())
    assert read_index(repo.objects, pack.name) == blobs
    assert blobs[1].stored < blobs[1].length == 5000


def test_damage_is_told_and_never_handed_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLPOND_CACHE_DIR", str(tmp_path / "cache"))
    repo = places.create("flights", {"MILLPOND_LAKE_ROOT": str(tmp_path)})
    with repo.commit() as change:
        change.write("a", b"important" * 100)
    (place,) = (tmp_path / "repositories/flights/packs").iterdir()
    data = bytearray(place.read_bytes())
    data[12] ^= 1
    place.write_bytes(data)
    with pytest.raises(DamagedError, match="is damaged"):
        repo.get(to=tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())
