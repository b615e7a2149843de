#!/usr/bin/env bash
# Chooses the toolchains that build WebAssembly guests and calls them: the one place that knows how.
#
#   tools/guest-toolchain.sh setup                                  install or name what is missing
#   tools/guest-toolchain.sh status                                 say which toolchain would be used
#   tools/guest-toolchain.sh build-rust <crate dir> <target> <out.wasm>
#   tools/guest-toolchain.sh build-rust-all <workspace dir> <target> <out dir> [package …]
#   tools/guest-toolchain.sh build-go <package dir> <out.wasm>
#   tools/guest-toolchain.sh run <target> <command …>               with an environment in which cargo builds for the target
#
# <target> is wasm32-wasip1 or wasm32-unknown-unknown. SLUICE_GUEST_RUST picks a road for Rust by force:
#   auto (default) · active = the rustc of this directory · debian = Debian's rustc-web with -Zbuild-std.
# Exit status: 0 done · 2 wrong usage · 3 a toolchain is missing (callers may go on without it) · other: the build failed.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly ROOT
readonly GUEST_TARGET_DIR="$ROOT/.build/guests"
readonly RUST_TARGETS=(wasm32-wasip1 wasm32-unknown-unknown)
readonly DEBIAN_PACKAGES=(rustc-web rust-web-src wasi-libc)
readonly DEBIAN_RUSTC=/usr/bin/rustc
readonly WASI_LIBS=/usr/lib/wasm32-wasi
readonly MISSING=3
readonly GO_MINIMUM=24 # the minor of 1.24, the first Go with -buildmode=c-shared and go:wasmexport for wasip1

say() { printf 'guests: %s\n' "$*" >&2; }
die() { local code=$1; shift; say "$@"; exit "$code"; }
usage() { sed -n '2,14s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2; }

# ---- Rust -----------------------------------------------------------------------------------------------------

# The active rustc is asked inside the repository, because rust-toolchain.toml decides which one that is.
active_sysroot() { (cd "$ROOT" && rustc --print sysroot 2>/dev/null); }

active_has() {
  local sysroot
  command -v rustc >/dev/null && sysroot=$(active_sysroot) && [[ -d "$sysroot/lib/rustlib/$1/lib" ]]
}

# rustc and std source of one version, and a libc for WASI.
debian_has() {
  local target=$1
  [[ -x $DEBIAN_RUSTC ]] || return 1
  [[ -d "$("$DEBIAN_RUSTC" --print sysroot)/lib/rustlib/src/rust/library" ]] || return 1
  [[ $target != wasm32-wasip1 || -f "$WASI_LIBS/libc.a" ]] || return 1
  wasm_linker >/dev/null
}

# Debian ships no rust-lld: take the one of rustup's toolchain, else any wasm-ld.
wasm_linker() {
  local found sysroot
  if sysroot=$(active_sysroot); then
    for found in "$sysroot"/lib/rustlib/*/bin/rust-lld; do
      [[ -x $found ]] && { echo "$found"; return; }
    done
  fi
  for found in wasm-ld wasm-ld-{22,21,20,19,18,17,16,15,14}; do
    command -v "$found" && return
  done
  return 1
}

# Prints active or debian; a build never touches the network to choose, that is what setup is for.
rust_road() {
  local target=$1
  case ${SLUICE_GUEST_RUST:-auto} in
    active) active_has "$target" && echo active ;;
    debian) debian_has "$target" && echo debian ;;
    auto) if active_has "$target"; then echo active; elif debian_has "$target"; then echo debian; else return 1; fi ;;
    *) return 1 ;;
  esac
}

rust_missing() {
  say "no Rust toolchain for $1 (road: ${SLUICE_GUEST_RUST:-auto})."
  say "  with rustup:      rustup target add $1"
  say "  on Debian:        apt-get update && apt-get install -y ${DEBIAN_PACKAGES[*]}"
  say "  or let the script try both:  tools/guest-toolchain.sh setup"
  return "$MISSING"
}

setup_rust() {
  local target=$1 road
  if road=$(rust_road "$target"); then say "$target: ready ($road)"; return; fi
  command -v cargo >/dev/null || die "$MISSING" "cargo is missing: see https://rustup.rs"

  if [[ ${SLUICE_GUEST_RUST:-auto} != debian ]] && command -v rustup >/dev/null; then
    say "$target: rustup target add $target"
    # Bounded, because rustup retries for minutes on a network that swallows packets.
    if (cd "$ROOT" && RUSTUP_MAX_RETRIES=1 timeout 120 rustup target add "$target" >&2) && active_has "$target"; then
      say "$target: ready (active)"; return
    fi
    say "$target: rustup could not add it, trying Debian's toolchain"
  fi

  if [[ ${SLUICE_GUEST_RUST:-auto} != active ]] && command -v apt-get >/dev/null; then
    if [[ $(id -u) == 0 ]]; then
      say "$target: apt-get install ${DEBIAN_PACKAGES[*]}"
      # What went wrong shows below: what counts is whether the toolchain is there.
      apt-get update -qq >&2 || say "apt-get update failed"
      DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${DEBIAN_PACKAGES[@]}" >&2 || say "apt-get install failed"
    else
      say "$target: not root, so run:  sudo apt-get update && sudo apt-get install -y ${DEBIAN_PACKAGES[*]}"
    fi
    if debian_has "$target"; then say "$target: ready (debian)"; return; fi
  fi
  rust_missing "$target"
}

# Sets vars to an environment in which cargo builds for one target, whatever tool calls it.
rust_environment() {
  local target=$1 road var=${1^^}
  # Said outright, because a command substitution does not inherit set -e.
  road=$(rust_road "$target") || { rust_missing "$target"; return; }
  # Paths of this machine stay out of panic messages, so equal sources give equal modules everywhere.
  local -a flags=("--remap-path-prefix=$ROOT=." "--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo")
  vars=("CARGO_TARGET_DIR=$GUEST_TARGET_DIR")
  if [[ $road == debian ]]; then
    vars+=("RUSTC=$DEBIAN_RUSTC" RUSTC_BOOTSTRAP=1 "CARGO_TARGET_${var//-/_}_LINKER=$(wasm_linker)")
    vars+=(CARGO_UNSTABLE_BUILD_STD=std,panic_abort)
    # rustc then takes crt1-reactor.o and libc.a from wasi-libc and not from its own (absent) copies.
    [[ $target != wasm32-wasip1 ]] || flags+=(-Clink-self-contained=no "-L$WASI_LIBS")
  fi
  # Encoded, because paths may hold spaces; RUSTFLAGS and a rustc wrapper of the caller are meant for the host.
  vars+=("CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f'; echo "${flags[*]}")")
}

run_for() {
  local -a vars
  rust_environment "$1" || return
  shift
  exec env -u RUSTFLAGS -u RUSTC_WRAPPER -u CARGO_BUILD_TARGET "${vars[@]}" "$@"
}

# Runs cargo build for one target and prints the path of every cdylib it made, fresh or not.
cargo_guests() {
  local dir=$1 target=$2
  local -a vars
  shift 2
  rust_environment "$target" || return
  local -a args=(build --release --target "$target" --message-format=json-render-diagnostics "$@")
  (cd "$dir" && env -u RUSTFLAGS -u RUSTC_WRAPPER -u CARGO_BUILD_TARGET "${vars[@]}" cargo "${args[@]}") |
    sed -n '/"reason":"compiler-artifact"/s/.*"filenames":\["\([^"]*\.wasm\)".*/\1/p'
}

build_rust() {
  local dir=$1 target=$2 out=$3 made
  made=$(cargo_guests "$dir" "$target") || return
  [[ -n $made ]] || die 1 "$dir makes no .wasm: its Cargo.toml needs [lib] crate-type = [\"cdylib\"]"
  [[ $made != *$'\n'* ]] || die 1 "$dir makes several modules: use build-rust-all"
  put "$made" "$out"
}

build_rust_all() {
  local dir=$1 target=$2 out=$3 made file package
  local -a select=()
  shift 3
  for package in "$@"; do select+=(--package "$package"); done
  [[ ${#select[@]} -gt 0 ]] || select=(--workspace)
  made=$(cargo_guests "$dir" "$target" "${select[@]}") || return
  while IFS= read -r file; do
    [[ -z $file ]] || put "$file" "$out/$(basename "$file")"
  done <<<"$made"
}

# ---- Go -------------------------------------------------------------------------------------------------------

go_version() { command -v go >/dev/null && GOTOOLCHAIN=${GOTOOLCHAIN:-local} go env GOVERSION 2>/dev/null; }

go_ready() {
  local version
  version=$(go_version) || return 1
  [[ $version =~ ^go1\.([0-9]+) ]] && ((BASH_REMATCH[1] >= GO_MINIMUM))
}

go_missing() {
  local version
  if version=$(go_version); then say "Go is too old: $version, needed is 1.$GO_MINIMUM or later."; else say "Go is missing."; fi
  say "  get it from https://go.dev/dl/ (the package golang-go of Debian 12 is 1.19: too old)."
  say "  without it: the proxy, all Rust filters and their tests work; Go filters and Go fixtures are not built."
  return "$MISSING"
}

build_go() {
  local dir=$1 out=$2 work
  local -a tags=()
  go_ready || { go_missing; return; }
  # Go has no place for the build tags of a package, so one that needs some names them in a file.
  [[ ! -f $dir/build.tags ]] || tags=(-tags "$(<"$dir/build.tags")")
  # go build always rewrites its output, so build beside it and copy when it differs.
  work=$(mktemp -d)
  (cd "$dir" && GOOS=wasip1 GOARCH=wasm CGO_ENABLED=0 \
    go build "${tags[@]}" -buildmode=c-shared -trimpath -buildvcs=false -o "$work/guest.wasm" .) || { rm -rf "$work"; return 1; }
  put "$work/guest.wasm" "$out"
  rm -rf "$work"
}

# ---- both -----------------------------------------------------------------------------------------------------

# Copies only what changed, by rename, so that a watching proxy sees a new file at once and never half of one.
put() {
  local from=$1 to=$2
  mkdir -p "$(dirname "$to")"
  cmp -s "$from" "$to" && return
  cp "$from" "$to.part.$$"
  chmod 644 "$to.part.$$"
  mv -f "$to.part.$$" "$to"
}

setup() {
  local target code=0
  for target in "${RUST_TARGETS[@]}"; do setup_rust "$target" || code=$?; done
  if go_ready; then say "Go: ready ($(go_version))"; else go_missing || code=$?; fi
  return "$code"
}

status() {
  local target
  for target in "${RUST_TARGETS[@]}"; do
    printf '%-24s %s\n' "$target" "$(rust_road "$target" || echo missing)"
  done
  printf '%-24s %s\n' go "$(go_ready && go_version || echo "missing or older than 1.$GO_MINIMUM")"
}

check_target() {
  [[ " ${RUST_TARGETS[*]} " == *" $1 "* ]] || die 2 "unknown target $1: ${RUST_TARGETS[*]}"
}

# Relative paths are the caller's.
absolute() { case $1 in /*) echo "$1" ;; *) echo "$PWD/$1" ;; esac; }

case ${SLUICE_GUEST_RUST:-auto} in
  auto | active | debian) ;;
  *) die 2 "SLUICE_GUEST_RUST is '$SLUICE_GUEST_RUST', not auto, active or debian" ;;
esac

case ${1:-} in
  setup) [[ $# == 1 ]] || usage; setup ;;
  status) [[ $# == 1 ]] || usage; status ;;
  build-rust) [[ $# == 4 ]] || usage; check_target "$3"; build_rust "$2" "$3" "$(absolute "$4")" ;;
  build-rust-all) [[ $# -ge 4 ]] || usage; check_target "$3"; build_rust_all "$2" "$3" "$(absolute "$4")" "${@:5}" ;;
  build-go) [[ $# == 3 ]] || usage; build_go "$2" "$(absolute "$3")" ;;
  run) [[ $# -ge 3 ]] || usage; check_target "$2"; run_for "${@:2}" ;;
  *) usage ;;
esac
