"""What this machine knows of registries, as files for a builder's secret mounts; no layer has them."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from millpond.targets.repository import find_repository

_VARIABLES = re.compile(
    r"PIP_(INDEX_URL|EXTRA_INDEX_URL|TRUSTED_HOST|DEFAULT_TIMEOUT|TIMEOUT|RETRIES|PROXY|NO_INDEX)"
    r"|UV_(DEFAULT_INDEX|INDEX|INDEX_URL|EXTRA_INDEX_URL|INDEX_STRATEGY|NO_INDEX|INDEX_\w+_(USERNAME|PASSWORD)"
    r"|NATIVE_TLS|SYSTEM_CERTS|INSECURE_HOST|HTTP_\w+|CONCURRENT_\w+|REQUEST_TIMEOUT|PYTHON_INSTALL_MIRROR)"
    r"|(https?|no|all|ftp)_proxy|(HTTPS?|NO|ALL|FTP)_PROXY|(NPM_CONFIG|npm_config)_registry"
)
_CERTIFICATES = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@contextmanager
def secret_files() -> Iterator[dict[str, Path]]:
    """The secrets by name, as files that only this user can read and that are gone afterwards."""
    with TemporaryDirectory(prefix="millpond-secrets-") as name:
        found = _files()
        content = {"environment": _environment(), "maven": _maven()}
        for key, text in content.items():
            if text:
                path = Path(name, key)
                path.touch(mode=0o600)
                path.write_text(text)
                found[key] = path
        yield found


def _environment() -> str:
    kept = {name: value for name, value in os.environ.items() if _VARIABLES.fullmatch(name) and value}
    # uv reads no setting of pip; whoever has only those means the same by them.
    if "PIP_INDEX_URL" in kept and not kept.keys() & {"UV_DEFAULT_INDEX", "UV_INDEX_URL"}:
        kept["UV_DEFAULT_INDEX"] = kept["PIP_INDEX_URL"]
    if "PIP_EXTRA_INDEX_URL" in kept and not kept.keys() & {"UV_INDEX", "UV_EXTRA_INDEX_URL"}:
        kept["UV_INDEX"] = kept["PIP_EXTRA_INDEX_URL"]
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in sorted(kept.items()))


def _maven() -> str:
    found = find_repository()
    return json.dumps({"url": found.url, "headers": found.headers}) if found else ""


def _files() -> dict[str, Path]:
    home = Path.home()
    named = os.environ.get
    config = Path(named("XDG_CONFIG_HOME") or home / ".config")
    places: dict[str, list[str | Path | None]] = {
        "certificates": [named(name) for name in _CERTIFICATES],
        "pip": [
            named("PIP_CONFIG_FILE"),
            config / "pip" / "pip.conf",
            home / ".pip" / "pip.conf",
            "/etc/pip.conf",
        ],
        "uv": [named("UV_CONFIG_FILE"), config / "uv" / "uv.toml", "/etc/uv/uv.toml"],
        "netrc": [named("NETRC"), home / ".netrc"],
        "npm": [named("NPM_CONFIG_USERCONFIG"), home / ".npmrc"],
    }
    found = {}
    for key, paths in places.items():
        for path in paths:
            if path and Path(path).is_file():
                found[key] = Path(path)
                break
    return found
