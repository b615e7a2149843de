#!/usr/bin/env bash
# Lets libFuzzer look for bytes that break a target of tests/fuzz, for a bounded time.
#
#   tools/fuzz.sh [seconds [target …]]      (default: 20 seconds for each of exchange, module, codecs, config)
#
# With a stable compiler: LLVM's coverage counters are asked for by plain codegen options, for our own crates only, so that
# no dependency is built again. What was learned stays in .build/fuzz/<target>; what went wrong is left there as crash-*, and
# said. To keep it as a test, put its bytes as hex into a file of tests/fuzz/found/<target>/.
set -euo pipefail

# As RUSTC_WORKSPACE_WRAPPER: the compiler and its arguments, for a crate of this workspace.
if [[ ${SLUICE_FUZZ_WRAPPER:-} == 1 && $# -gt 1 ]]; then
  exec "$@" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares
fi

cd "$(dirname "${BASH_SOURCE[0]}")/.."
readonly SECONDS_EACH=${1:-20}
shift || true
targets=("$@")
[[ ${#targets[@]} -gt 0 ]] || targets=(exchange module codecs config)

# The whole workspace with one set of features, as everywhere: what is built already is not built again.
SLUICE_FUZZ_WRAPPER=1 RUSTC_WORKSPACE_WRAPPER="$PWD/tools/fuzz.sh" \
  cargo build --workspace --locked "${targets[@]/#/--example=fuzz-}"

failed=0
for target in "${targets[@]}"; do
  learned=.build/fuzz/$target
  mkdir -p "$learned"
  # A first idea of what the bytes are.
  if [[ $target == config ]]; then cp conf/*.yaml "$learned/"; fi
  if [[ $target == module ]]; then printf '\0asm\1\0\0\0' >"$learned/empty"; fi
  printf '\n== %s: %s seconds\n' "$target" "$SECONDS_EACH"
  "${CARGO_TARGET_DIR:-target}/debug/examples/fuzz-$target" "$learned" -max_total_time="$SECONDS_EACH" -max_len=4096 \
    -len_control=0 -timeout=20 -rss_limit_mb=2048 -artifact_prefix="$learned/" -print_final_stats=1 -verbosity=1 >"$learned.log" 2>&1 || failed=1
  grep -E 'panicked|^SUMMARY|Test unit written|stat::number_of_executed|stat::peak_rss|ERROR' -A1 "$learned.log" || tail -20 "$learned.log"
  grep -E '^#[0-9]+.*(DONE|pulse)' "$learned.log" | tail -1 || true
  grep -E '^modules: ' "$learned.log" | tail -1 || true
done
exit "$failed"
