#!/usr/bin/env bash
# Checks formatting in every workspace of this repository, and clippy without mercy in the proxy's.
#
#   tools/lint.sh [format|clippy]      (default: both)
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

format() {
  cargo fmt --all --check
  local workspace
  for workspace in filters tests/fixtures/rust tests/wild/rust sdk/rust; do
    (cd "$workspace" && cargo fmt --all --check)
  done
  if command -v gofmt >/dev/null; then
    local unformatted
    unformatted=$(gofmt -l filters/go sdk/go tests/fixtures/go tests/wild/go)
    [[ -z $unformatted ]] || { printf 'not formatted as gofmt does it:\n%s\n' "$unformatted" >&2; exit 1; }
  fi
}

# The same features and profile as the tests, so that build scripts and macros are not built again.
clippy() { cargo clippy --workspace --all-targets --locked -- -D warnings; }

case ${1:-both} in
  format) format ;;
  clippy) clippy ;;
  both) format; clippy ;;
  *) sed -n '2,4s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac
