#!/usr/bin/env bash
# Runs all tests and ends with one line of counts: "N passed, N failed, N skipped".
#
#   tools/test.sh [argument of cargo test …]
#
# The guests must have been built (`make test` does it). Where a tool is missing, the tests that need it fail and say what
# to install. Exit status: that of cargo.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

output=$(mktemp)
trap 'rm -f "$output"' EXIT
status=0
cargo test --workspace --locked --no-fail-fast "$@" 2>&1 | tee "$output" || status=${PIPESTATUS[0]}

awk '
  /test result: / {
    for (i = 2; i <= NF; i++) {
      if ($i == "passed;") passed += $(i - 1)
      if ($i == "failed;") failed += $(i - 1)
      if ($i == "ignored;") skipped += $(i - 1)
    }
  }
  END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped }
' "$output"
exit "$status"
