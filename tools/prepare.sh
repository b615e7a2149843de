#!/usr/bin/env bash
# Checks what builds the proxy itself: Rust, a C compiler and cmake (both for C libraries below Pingora); with `tests`
# also what the tests run beside it: a real nginx, and a real Prometheus with its promtool; with `bench` the peers that
# benchmarks compare with, their load generator, and valgrind.
#
#   tools/prepare.sh [tests|bench]
#
# On Debian and its children, as root, it installs all but Rust and says so; elsewhere it prints the command to run.
# What builds the guests is checked by tools/guest-toolchain.sh. Exit status: 0 all there, 1 something is missing.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly ROOT

say() { printf 'setup: %s\n' "$*" >&2; }

if ! command -v cargo >/dev/null; then
  say "Rust is missing. Install it with rustup (https://rustup.rs), open a new shell, and run this again:"
  say "  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"
  exit 1
fi

# Asked here, because rust-toolchain.toml names the version and rustup fetches it at this moment.
if ! version=$(cd "$ROOT" && cargo --version); then
  say "cargo does not start with the toolchain of rust-toolchain.toml; what it said stands above."
  exit 1
fi

packages=()
command -v cc >/dev/null || packages+=(gcc libc6-dev)
command -v cmake >/dev/null || packages+=(cmake)
tools=(cc cmake)
if [[ ${1:-} == tests ]]; then
  command -v nginx >/dev/null || packages+=(nginx-light)
  command -v promtool >/dev/null && command -v prometheus >/dev/null || packages+=(prometheus)
  tools+=(nginx promtool prometheus)
fi
if [[ ${1:-} == bench ]]; then
  command -v nginx >/dev/null || packages+=(nginx-light)
  command -v haproxy >/dev/null || packages+=(haproxy)
  command -v h2load >/dev/null || packages+=(nghttp2-client)
  command -v taskset >/dev/null || packages+=(util-linux)
  command -v valgrind >/dev/null || packages+=(valgrind)
  tools+=(nginx haproxy h2load taskset valgrind)
fi

if [[ ${#packages[@]} -gt 0 ]]; then
  if command -v apt-get >/dev/null && [[ $(id -u) == 0 ]]; then
    say "missing, so: apt-get install ${packages[*]}"
    # What went wrong shows below: what counts is whether the tools are there.
    apt-get update -qq >&2 || say "apt-get update failed"
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >&2 || say "apt-get install failed"
  elif command -v apt-get >/dev/null; then
    say "missing, and not root, so run:  sudo apt-get update && sudo apt-get install -y ${packages[*]}"
  elif command -v dnf >/dev/null; then
    say "missing, so run:  sudo dnf install -y ${packages[*]/nginx-light/nginx}"
  elif command -v brew >/dev/null; then
    say "missing, so run:  xcode-select --install; brew install cmake nginx prometheus (benchmarks need Linux)"
  else
    say "missing: install ${packages[*]} with the package manager of this system."
  fi
fi

for tool in "${tools[@]}"; do
  command -v "$tool" >/dev/null || { say "$tool is missing"; exit 1; }
done
say "proxy: ready ($version)"
