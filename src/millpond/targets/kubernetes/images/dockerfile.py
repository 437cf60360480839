"""The text of a Dockerfile: everything is installed in one stage, and the other takes only the outcome.

Nothing in it says where packages come from. That reaches the first stage as build secrets (`secrets.py`), so
that no layer, argument or variable of the image has it.
"""

from __future__ import annotations

import json
import os

from millpond.model.component import Component

BASE = "docker.io/library/python:3.11-slim-bookworm"
CUDA_BASE = "docker.io/nvidia/cuda:12.6.3-cudnn-runtime-ubuntu24.04"
PREFIX = "/opt/millpond"
SITE = f"{PREFIX}/venv/lib/python3.11/site-packages"
SECRETS = ("environment", "certificates", "pip", "uv", "netrc", "npm", "maven")
"""What may be known of registries while building: files at ``/run/secrets/millpond-NAME``, each optional."""

_FOLDERS = (f"{PREFIX}/venv/bin", f"{PREFIX}/npm/node_modules/.bin", f"{PREFIX}/deb/usr/bin")
_SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Without useradd, whose files have the day's date in them, and which not every base has.
_USER = (
    "RUN grep -q '^millpond:' /etc/passwd || {"
    " echo 'millpond:*:10001:10001:Millpond:/tmp:/usr/sbin/nologin' >> /etc/passwd;"
    " echo 'millpond:*:10001:' >> /etc/group; }; mkdir -p /data"
)


def base() -> str:
    """The image that others are built on: ``MILLPOND_BASE_IMAGE``, which must have python3.11."""
    return os.environ.get("MILLPOND_BASE_IMAGE") or BASE


def cuda_base() -> str:
    """The image under those for GPUs: ``MILLPOND_CUDA_BASE_IMAGE``; it needs a C library, no Python."""
    return os.environ.get("MILLPOND_CUDA_BASE_IMAGE") or CUDA_BASE


def dockerfile(component: Component, *, cuda: bool, millpond: bool) -> str:
    """The Dockerfile of a component.

    Args:
        cuda: the last stage is the CUDA runtime, and Python is brought along.
        millpond: Millpond's own package is in the context and belongs into the image.
    """
    mounts = " ".join(f"--mount=type=secret,id=millpond-{name}" for name in SECRETS)
    runtime = cuda_base() if cuda else base()
    lines = [
        f"FROM {base()} AS builder",
        "COPY stage /build/stage",
        "COPY locks /build/locks",
        *(["COPY millpond /build/millpond"] if millpond else []),
        f"RUN {mounts} --mount=type=cache,target=/var/cache/millpond"
        f" sh /build/stage/install.sh{' --with-python' if cuda else ''}",
        "",
        f"FROM {runtime}",
        _USER,
        f"COPY --from=builder {PREFIX} {PREFIX}",
        f"ENV PATH={':'.join((*_FOLDERS, _SYSTEM))} HOME=/tmp LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1",
    ]
    if component.service.install.deb:
        triple = "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib"
        lines.append(f"ENV LD_LIBRARY_PATH={':'.join(f'{PREFIX}/deb{folder}' for folder in triple)}")
    labels = {
        "title": component.name,
        "description": component.summary,
        "version": component.version,
        "licenses": component.licence,
        "source": component.homepage or "",
        # A base of one's own may be known on this machine only, or tell of a private registry.
        "base.name": runtime if runtime in (BASE, CUDA_BASE) else "",
    }
    lines += [label(key, text) for key, text in labels.items() if text]
    lines += ["WORKDIR /data", "USER 10001:10001"]
    return "\n".join(lines) + "\n"


def label(key: str, text: str) -> str:
    """A line that describes the image, by a key of the OCI's image specification."""
    return f"LABEL org.opencontainers.image.{key}={_quoted(text)}"


def _quoted(text: str) -> str:
    return json.dumps(" ".join(text.split()), ensure_ascii=False).replace("$", "\\$")
