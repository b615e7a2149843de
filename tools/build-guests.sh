#!/usr/bin/env bash
# Builds every guest of this repository: filters/<lang>/<name>/<name>.wasm, .build/fixtures/<name>.wasm and, from other
# people's published sources, .build/wild/<name>.wasm.
#
#   tools/build-guests.sh [filters|fixtures|wild|all]      (default: all)
#
# What is up to date is left alone, so a second run costs about a second. Fixtures named <name>.unknown.wasm are
# the same source for wasm32-unknown-unknown; Go fixtures are go-<name>.wasm. Without Go the Rust guests are built,
# the Go guests are named as skipped, and the exit status is 3.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly ROOT
readonly FIXTURES="$ROOT/.build/fixtures"
readonly WILD="$ROOT/.build/wild"
readonly STAGE="$ROOT/.build/stage"
# Both allocator exports and both import sets of the Rust SDK are worth a test, on these four.
readonly BOTH_TARGETS=(headers tag noop body)
# Written against the raw ABI, without WASI.
readonly RAW=(wild legacy nonsense probe)

toolchain() { "$ROOT/tools/guest-toolchain.sh" "$@"; }
# Without Rust nothing here works, so a missing one is a plain failure and not status 3.
rust_guests() { toolchain build-rust-all "$@" || exit 1; }
code=0

show() { printf '%9d  %s\n' "$(stat -c %s "$1" 2>/dev/null || stat -f %z "$1")" "${1#"$ROOT"/}"; }

# Hard to get wrong: the copy keeps its time when the bytes are the same.
put() {
  mkdir -p "$(dirname "$2")"
  if ! cmp -s "$1" "$2"; then
    cp "$1" "$2.part.$$"
    mv -f "$2.part.$$" "$2"
  fi
  show "$2"
}

# One Go guest; a missing toolchain (3) is remembered, any other failure ends the run.
go_guest() {
  local status=0
  toolchain build-go "$1" "$2" || status=$?
  case $status in
    0) show "$2" ;;
    3) printf '  skipped  %s (no Go toolchain)\n' "${2#"$ROOT"/}"; code=3 ;;
    *) exit "$status" ;;
  esac
}

filters() {
  local dir name
  rust_guests "$ROOT/filters" wasm32-wasip1 "$STAGE/filters"
  for dir in "$ROOT"/filters/rust/*/; do
    name=$(basename "$dir")
    put "$STAGE/filters/${name//-/_}.wasm" "$dir$name.wasm"
  done
  for dir in "$ROOT"/filters/go/*/; do
    name=$(basename "$dir")
    go_guest "$dir" "$dir$name.wasm"
  done
}

fixtures() {
  local dir name
  local rust="$ROOT/tests/fixtures/rust"
  local -a wasi=()
  for dir in "$rust"/*/; do
    name=$(basename "$dir")
    [[ " ${RAW[*]} " == *" $name "* ]] || wasi+=("$name")
  done
  rust_guests "$rust" wasm32-wasip1 "$STAGE/wasip1" "${wasi[@]/#/fixture-}"
  rust_guests "$rust" wasm32-unknown-unknown "$STAGE/unknown" \
    "${BOTH_TARGETS[@]/#/fixture-}" "${RAW[@]/#/fixture-}"
  for name in "${wasi[@]}"; do put "$STAGE/wasip1/fixture_${name//-/_}.wasm" "$FIXTURES/$name.wasm"; done
  for name in "${BOTH_TARGETS[@]}"; do put "$STAGE/unknown/fixture_$name.wasm" "$FIXTURES/$name.unknown.wasm"; done
  for name in "${RAW[@]}"; do put "$STAGE/unknown/fixture_$name.wasm" "$FIXTURES/$name.wasm"; done
  for dir in "$ROOT"/tests/fixtures/go/*/; do
    name=$(basename "$dir")
    go_guest "$dir" "$FIXTURES/go-$name.wasm"
  done
}

# Folder of a package in Cargo's registry, fetched when it is not there; its name with version is told once.
registry_folder() {
  (cd "$1" && cargo metadata --locked --format-version 1) | grep -o "\"manifest_path\":\"[^\"]*/$2/Cargo.toml\"" |
    sed -n '1s/.*:"\(.*\)\/Cargo.toml"/\1/p'
}

wild() {
  local rust="$ROOT/tests/wild/rust" dir name
  local -a wasi=() unknown=()
  # Cargo builds no example of a dependency, so each crate includes one by its path.
  WILD_0_1=$(registry_folder "$rust" proxy-wasm-0.1.4)
  WILD_0_2=$(registry_folder "$rust" proxy-wasm-0.2.0)
  WILD_EXPERIMENTAL=$(registry_folder "$rust" proxy-wasm-experimental-0.0.8)
  export WILD_0_1 WILD_0_2 WILD_EXPERIMENTAL
  for dir in "$rust"/*/; do
    name=$(basename "$dir")
    # What the older SDKs call `_start` is a command for WASI, and a plain function without it.
    if [[ $name == *-0-2 ]]; then wasi+=("wild-$name"); else unknown+=("wild-$name"); fi
  done
  rust_guests "$rust" wasm32-wasip1 "$STAGE/wild-wasip1" "${wasi[@]}"
  rust_guests "$rust" wasm32-unknown-unknown "$STAGE/wild-unknown" "${unknown[@]}"
  for name in "${wasi[@]}"; do put "$STAGE/wild-wasip1/${name//-/_}.wasm" "$WILD/${name#wild-}.wasm"; done
  for name in "${unknown[@]}"; do put "$STAGE/wild-unknown/${name//-/_}.wasm" "$WILD/${name#wild-}.wasm"; done
  go_guest "$ROOT/tests/wild/go/coraza-proxy-wasm" "$WILD/coraza-proxy-wasm.wasm"
}

case ${1:-all} in
  filters) filters ;;
  fixtures) fixtures ;;
  wild) wild ;;
  all) filters; fixtures; wild ;;
  *) sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac
exit "$code"
