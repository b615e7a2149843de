#!/usr/bin/env bash
# Builds `sluice` without the compiler, as for hardened hosts, and tests that it runs only what was made for it.
#
#   tools/data-plane.sh
#
# Most dependencies are those of the usual build; Wasmtime and what stands on it are built once more.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

cargo build --locked -p sluicegate --no-default-features
if cargo tree --locked -p sluicegate --no-default-features -e normal | grep -q cranelift-codegen; then
  echo "error: the compiler is still in it: cargo tree -p sluicegate --no-default-features -e normal -i cranelift-codegen" >&2
  exit 1
fi
# Taken away before the tests build the usual one in its place.
target=$(realpath "${CARGO_TARGET_DIR:-target}")
mkdir -p "$target/tmp"
cp "$target/debug/sluice" "$target/tmp/sluice-data-plane"
SLUICE_DATA_PLANE=$target/tmp/sluice-data-plane cargo test --workspace --locked --test data_plane
