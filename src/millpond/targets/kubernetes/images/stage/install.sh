#!/bin/sh
# Installs what the locks name below /opt/millpond, in the first stage of an image.
# Where packages come from is told by files in /run/secrets, which are in no layer.
set -eu

prefix=/opt/millpond
secrets=/run/secrets/millpond
build=/build
export SOURCE_DATE_EPOCH=315532800 PYTHONHASHSEED=0 DEBIAN_FRONTEND=noninteractive HOME=/build
unset PYTHONPATH PYTHONHOME
mkdir -p "$prefix" /build/tools

if [ -s "$secrets-environment" ]; then set -a; . "$secrets-environment"; set +a; fi
if [ -s "$secrets-certificates" ]; then
    export SSL_CERT_FILE="$secrets-certificates" PIP_CERT="$secrets-certificates"
    export REQUESTS_CA_BUNDLE="$secrets-certificates" NODE_EXTRA_CA_CERTS="$secrets-certificates"
fi
if [ -s "$secrets-pip" ]; then export PIP_CONFIG_FILE="$secrets-pip"; fi
if [ -s "$secrets-uv" ]; then export UV_CONFIG_FILE="$secrets-uv"; fi
if [ -s "$secrets-netrc" ]; then export NETRC="$secrets-netrc"; fi
if [ -s "$secrets-npm" ]; then export NPM_CONFIG_USERCONFIG="$secrets-npm"; fi
export UV_CACHE_DIR=/var/cache/millpond/uv UV_LINK_MODE=copy UV_NO_PROGRESS=1 UV_PYTHON_DOWNLOADS=never
export PIP_CACHE_DIR=/var/cache/millpond/pip PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

# uv, by its hash, with whatever pip the base image has.
tools() {
    if [ -x /build/tools/bin/uv ]; then return; fi
    if python3.11 -m pip --version >/dev/null 2>&1; then
        python3.11 -m venv --without-pip /build/tools
        python3.11 -m pip --python /build/tools/bin/python install -q --require-hashes -r "$build/stage/uv.lock"
    else
        if ! python3.11 -c 'import ensurepip' >/dev/null 2>&1; then
            apt-get update -qq && apt-get install -y -qq --no-install-recommends python3.11-venv
        fi
        python3.11 -m venv /build/tools
        /build/tools/bin/pip install -q --require-hashes -r "$build/stage/uv.lock"
    fi
}

if [ -f "$build/locks/requirements.lock" ] || [ -d "$build/millpond" ]; then
    tools
    uv=/build/tools/bin/uv
    python=$(command -v python3.11)
    if [ "${1:-}" = --with-python ]; then
        # Which build of it, and its checksum, is part of this very uv.
        UV_PYTHON_DOWNLOADS=manual "$uv" python install --no-bin --install-dir "$prefix/python" 3.11
        python=$(ls -d "$prefix"/python/cpython-3.11*/bin/python3.11 | head -n 1)
    fi
    "$uv" venv --quiet --no-project --python "$python" "$prefix/venv"
    if [ -f "$build/locks/requirements.lock" ]; then
        # Only wheels, but for the exceptions that a lock names: a build runs code that no lock holds.
        "$uv" pip sync --require-hashes $(cat "$build/locks/build.rules") --python "$prefix/venv/bin/python" "$build/locks/requirements.lock"
    fi
    site="$prefix/venv/lib/python3.11/site-packages"
    if [ -d "$build/millpond" ]; then cp -R "$build/millpond" "$site/millpond"; fi
    # By content, as the times of files are not kept; never checked, as nobody changes an image.
    find "$prefix" -name __pycache__ -prune -exec rm -rf {} +
    "$prefix/venv/bin/python" -m compileall -qq -j 0 --invalidation-mode unchecked-hash "$site" || true
    rm -f "$prefix/venv/.lock"
fi

if [ -f "$build/locks/jars.lock" ]; then
    mkdir -p "$prefix/maven"
    python3.11 "$build/stage/jars.py" "$build/locks/jars.lock" "$prefix/maven" "$secrets-maven"
fi

if [ -f "$build/locks/packages.lock" ]; then
    machine=$(dpkg --print-architecture)
    mkdir -p "$prefix/deb" /build/debs
    apt-get update -qq
    cd /build/debs
    grep -v '^ *#' "$build/locks/packages.lock" | while read -r name version sha; do
        [ -n "$name" ] || continue
        case "$name" in *:"$machine" | *:all) ;; *:*) continue ;; esac
        rm -f ./*.deb
        apt-get -qq -o APT::Sandbox::User=root download "${name%:all}=$version"
        echo "${sha#sha256:}  $(ls ./*.deb)" | sha256sum --check --quiet
        dpkg -x ./*.deb "$prefix/deb"
    done
    find "$prefix/deb" -perm /6000 -exec chmod a-s {} +
fi

if [ -f "$build/locks/package-lock.json" ]; then
    mkdir -p "$prefix/npm"
    cp "$build/locks/package-lock.json" "$build/locks/package.json" "$prefix/npm/"
    cd "$prefix/npm"
    PATH="$prefix/venv/bin:$prefix/deb/usr/bin:$PATH" npm ci --ignore-scripts --omit=dev --no-audit --no-fund \
        --no-update-notifier --loglevel=error --cache /var/cache/millpond/npm
fi

chown -R 0:0 "$prefix"
find "$prefix" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
