#!/usr/bin/env bash
# Gets the two official SDKs as their users do, by git, and builds every one of their examples unchanged.
#
#   tools/sdk-examples.sh                          clone, build, and put .build/sdk-examples/<language>-<example>.wasm
#   RUST_SDK=DIR GO_SDK=DIR tools/sdk-examples.sh  from clones that are there; they are read and not changed
#
# Nothing of their code belongs to this repository: all of it stays in .build/sdk-examples. What is wanted are the two
# commits below. The packages that the examples need come from crates.io and the module proxy of Go.
# Exit status: 0 done · 1 a build failed · 3 an SDK or a tool cannot be had, with what to do.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly ROOT
readonly OUT="$ROOT/.build/sdk-examples"
readonly MISSING=3
readonly RUST_URL=https://github.com/proxy-wasm/proxy-wasm-rust-sdk
readonly RUST_COMMIT=19e691b3a40458d67433c8ff8ce1225f371b65ee # July 2026, 0.3.0-dev
readonly GO_URL=https://github.com/proxy-wasm/proxy-wasm-go-sdk
readonly GO_COMMIT=44c7d58477456a40f475d515e29b32a006d5074b # January 2026

say() { printf 'sdk-examples: %s\n' "$*" >&2; }
die() { local code=$1; shift; say "$@"; exit "$code"; }
toolchain() { "$ROOT/tools/guest-toolchain.sh" "$@"; }

# An SDK at its commit, in a folder of its own, from the network or from the clone that the variable names.
get() {
  local name=$1 variable=$2 source=$3 commit=$4 dir="$OUT/$1" here=${!2:-}
  if [[ -n $here ]]; then
    [[ -d $here ]] || die "$MISSING" "$variable is $here, which is no folder: it has to be a clone of $source"
    # As an address, because git takes a depth only from one.
    source="file://$(cd "$here" && pwd)"
  fi
  git -C "$dir" rev-parse -q --verify HEAD 2>/dev/null | grep -qx "$commit" && return
  rm -rf "$dir"
  git init -q "$dir"
  # Bounded, because a network that swallows packets would hold this for minutes.
  if ! GIT_TERMINAL_PROMPT=0 timeout 180 git -C "$dir" fetch -q --depth 1 "$source" "$commit"; then
    rm -rf "$dir"
    say "the SDK for $name cannot be had: $source has no commit $commit, or there is no network to it."
    die "$MISSING" "  with a clone of it somewhere, say where:  $variable=FOLDER tools/sdk-examples.sh"
  fi
  git -C "$dir" checkout -q FETCH_HEAD
}

rust_examples() {
  local dir
  toolchain status | grep -q '^wasm32-wasip1 *missing' && die "$MISSING" "run tools/guest-toolchain.sh setup first"
  command -v protoc >/dev/null ||
    die "$MISSING" "envoy_tcp_routing is built with protoc: apt-get install protobuf-compiler (brew install protobuf)"
  for dir in "$OUT"/rust/examples/*/; do built "$dir" "rust-$(basename "$dir")" build-rust "$dir" wasm32-wasip1; done
}

# Each main.go is a program of its own: one example has two.
go_examples() {
  local dir name
  while IFS= read -r dir; do
    name=${dir#"$OUT/go/examples/"}
    built "$dir" "go-${name//\//-}" build-go "$dir"
  done < <(find "$OUT/go/examples" -name main.go -exec dirname {} + | sort)
}

built() {
  local dir=$1 name=$2 status=0
  shift 2
  [[ -d $dir ]] || die 1 "${dir#"$ROOT"/} is missing: the SDK has no examples at this commit"
  say "$name"
  toolchain "$@" "$OUT/$name.wasm" || status=$?
  [[ $status == 0 ]] || die "$status" "$name was not built"
}

[[ $# == 0 ]] || { sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2; }
mkdir -p "$OUT"
get rust RUST_SDK "$RUST_URL" "$RUST_COMMIT"
get go GO_SDK "$GO_URL" "$GO_COMMIT"
rust_examples
go_examples
say "$(find "$OUT" -maxdepth 1 -name '*.wasm' | wc -l | tr -d ' ') modules are in .build/sdk-examples"
