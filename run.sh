#!/bin/sh
# Data-Mill's entry point with its flags, on Millpond's native processes: ./run.sh --help
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
if command -v millpond >/dev/null 2>&1; then
  exec millpond datamill "$@"
elif [ -x "$here/.venv/bin/millpond" ]; then
  exec "$here/.venv/bin/millpond" datamill "$@"
fi
echo "millpond is not installed; run $here/bootstrap first" >&2
exit 127
