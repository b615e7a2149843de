#!/usr/bin/env bash
# Builds `sluice` as it is shipped and lays it out by what it does under load (profile-guided optimisation, PGO).
#
#   tools/pgo.sh
#
# Three steps: a build that counts where it goes; the loads of `make bench` on it, one round; the build that has the
# counts. It takes about 20 minutes on two cores and puts target/pgo/sluice. The counts hold for the commit and the
# compiler that they were made with, so none are kept in the repository.
# Exit status: 0 done · 1 a step failed · 3 a tool is missing, with what to do.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly MISSING=3
say() { printf 'pgo: %s\n' "$*" >&2; }

host=$(rustc -vV | sed -n 's/^host: //p')
profdata=$(rustc --print sysroot)/lib/rustlib/$host/bin/llvm-profdata
if [[ ! -x $profdata ]]; then
  say "llvm-profdata of this compiler is missing, so: rustup component add llvm-tools"
  rustup component add llvm-tools >&2 || true
  [[ -x $profdata ]] || { say "it is still missing: $profdata"; exit "$MISSING"; }
fi

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
counts=$target/pgo/counts
rm -rf "$counts" "$target"/pgo/*.profdata
mkdir -p "$counts"

# With --target, flags reach what runs in the end and not what only builds it.
build() { RUSTFLAGS=$1 cargo build --profile dist --locked -p sluicegate --target "$host" --target-dir "$2"; }

say "1 of 3: the build that counts"
# Unlinked optimisation changes no counts, and is what takes longest.
CARGO_PROFILE_DIST_LTO=off build "-Cprofile-generate=$counts" "$target/pgo/counting"

say "2 of 3: under load"
SLUICE=$target/pgo/counting/$host/dist/sluice cargo run --release --locked -p sluice-benches --bin rig -- \
  --rounds 1 --part small,large,tls,h2 --only 'Sluice,'
"$profdata" merge -o "$counts/merged" "$counts"
# What is in it is in its name: Cargo looks at flags and not into files, and would keep what was built with other counts.
use=$target/pgo/$(sha256sum "$counts/merged" | head -c 16).profdata
mv "$counts/merged" "$use"

say "3 of 3: the build that has the counts"
build "-Cprofile-use=$use" "$target/pgo/laid-out"
cp "$target/pgo/laid-out/$host/dist/sluice" "$target/pgo/sluice"
say "done: ${target#"$PWD/"}/pgo/sluice"
