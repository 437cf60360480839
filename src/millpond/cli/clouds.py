"""What ``millpond cluster terraform`` and ``flavour`` do for clusters in a cloud, and how they tell."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from millpond.catalogue import Catalogue
from millpond.cli.session import Session
from millpond.cli.style import hint, note, out
from millpond.model.errors import MillpondError
from millpond.targets.kubernetes.clusters.terraform import module, outputs


def terraform(session: Session, cloud: str, folder: Path | None, *, name: str, region: str, gpu: str) -> None:
    """Write the module of a cloud, and tell what comes next.

    Raises:
        MillpondError: a file is in the way.
    """
    chosen = module.CLOUDS[cloud]
    where = session.folder / (folder or cloud)
    files = module.render(chosen, name=name, region=region, gpu=gpu, images=_images())
    written = module.write(files, where)
    if session.json:
        out(json.dumps({"folder": str(where), "written": [str(path) for path in written]}))
        return
    for path in written:
        out(str(path))
    if not written:
        note(f"{where} has this module already")
    note("the module was checked against its provider's documentation, and never applied to a cloud")
    hint(
        f"copy {where}/terraform.tfvars.example to terraform.tfvars and edit it; README.md says how to go on"
    )


def flavour(session: Session, file: str) -> None:
    """Print the parts of a flavour that a module's outputs say.

    Raises:
        MillpondError: the file cannot be read, or lacks something.
    """
    source = "standard input" if file == "-" else file
    try:
        text = sys.stdin.read() if file == "-" else (session.folder / file).read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise MillpondError(f"{source} cannot be read: {reason}", exit_code=3) from None
    parts = outputs.flavour(text, source)
    out(json.dumps(parts) if session.json else outputs.dump(parts).rstrip())
    if "external" in parts:
        bucket = parts["external"]["s3"]["bucket"]
        hint(
            f"leave seaweedfs out of the flavour, give components with an option bucket {bucket}, "
            f"and keep the lake's key in {outputs.ACCESS_KEY} and {outputs.SECRET_KEY}"
        )
    else:
        hint("there is no lake with the S3 API among the outputs: keep seaweedfs in the flavour")


def _images() -> list[str]:
    """What `millpond images` can push: an image for each component that a chart does not bring."""
    found = (entry.component for entry in Catalogue())
    return sorted(f"millpond-{one.name}" for one in found if "service" in one.cluster_recipes)
