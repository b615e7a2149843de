#!/usr/bin/env bash
# Runs all tests and ends with one line of counts: "N passed, N failed, N skipped".
#
#   tools/test.sh [argument of cargo test …]
#
# The guests must have been built (`make test` does it). Tests of Go guests are skipped when there is no Go; each says so
# in a line that begins with SKIPPED, and is counted as skipped and not as passed. Exit status: that of cargo.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

if tools/guest-toolchain.sh status | grep -q '^go .*missing'; then
  echo 'tests: Go 1.24 or later is missing: what needs Go guests is skipped' >&2
  export SLUICE_WITHOUT_GO=1
fi

output=$(mktemp)
trap 'rm -f "$output"' EXIT
status=0
cargo test --workspace --locked --no-fail-fast "$@" 2>&1 | tee "$output" || status=${PIPESTATUS[0]}

# Every test program ends with such a line; a line of another kind that says SKIPPED may have a dot or a name before it.
awk '
  /test result: / {
    for (i = 2; i <= NF; i++) {
      if ($i == "passed;") passed += $(i - 1)
      if ($i == "failed;") failed += $(i - 1)
      if ($i == "ignored;") skipped += $(i - 1)
    }
  }
  /SKIPPED / { said += 1 }
  END { printf "%d passed, %d failed, %d skipped\n", passed - said, failed, skipped + said }
' "$output"
exit "$status"
