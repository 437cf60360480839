"""Makes the descriptor of the gRPC protocol anew: ``python tools/proto.py [--check]``.

``open_inference.proto`` becomes ``descriptor.py`` beside it: the compiled file as one constant.
With ``--check`` nothing is written; exit code 1 says that the two differ.
"""

from __future__ import annotations

import base64
import sys
import tempfile
import textwrap
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc

FOLDER = Path(__file__).resolve().parent.parent / "src" / "millpond" / "serving" / "openinference"
SOURCE = FOLDER / "open_inference.proto"
TARGET = FOLDER / "descriptor.py"


def made() -> str:
    """The text of ``descriptor.py`` as it should be."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "set")
        argv = ["protoc", f"-I{FOLDER}", f"--descriptor_set_out={target}", SOURCE.name]
        if protoc.main(argv):
            raise SystemExit(f"{SOURCE} does not compile")
        [compiled] = FileDescriptorSet.FromString(target.read_bytes()).file
    text = base64.b64encode(compiled.SerializeToString(deterministic=True)).decode()
    lines = "\n".join(f'    b"{line}"' for line in textwrap.wrap(text, 100))
    return (
        f'"""Made by tools/proto.py from {SOURCE.name}: that file, compiled."""\n\n'
        f"from base64 import b64decode\n\nDESCRIPTOR = b64decode(\n{lines}\n)\n"
    )


def main(argv: list[str]) -> int:
    text = made()
    if argv == ["--check"]:
        return int(TARGET.read_text() != text)
    TARGET.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
