#!/usr/bin/env bash
# make-venv.sh DIR: a virtual environment with cudaforge (editable) and the developers' tools.
# Needs any Python 3.10 or newer; installs Debian's python3-venv where it is missing and we are root.
set -euo pipefail
directory=${1:?usage: make-venv.sh DIR}

find_python() {
    local candidate
    for candidate in python3 python3.13 python3.12 python3.11 python3.10; do
        if command -v "$candidate" >/dev/null \
            && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

has_venv() {
    "$1" -c 'import ensurepip, venv' 2>/dev/null
}

python=$(find_python || true)
if [ -z "$python" ] || ! has_venv "$python"; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing python3 and python3-venv" >&2
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3 python3-venv ca-certificates >&2
        python=$(find_python)
    else
        echo "error: cudaforge needs Python 3.10 or newer with the venv module; install python3-venv" >&2
        exit 3
    fi
fi

"$python" -m venv --clear "$directory"
# Only the host's own pip knows where this site's package index is.
"$directory/bin/python" -m pip install -qq --disable-pip-version-check --upgrade 'pip>=25.1'
"$directory/bin/python" -m pip install -qq --editable . --group dev
