#!/usr/bin/env bash
# Builds the filters and the proxy, says what to try, and becomes the proxy: what `make run` calls.
#
#   tools/run.sh
#
# Without Go it serves conf/quickstart-rust.yaml and says so. On a terminal the proxy gets a process group of its own in
# the foreground: Ctrl-C then reaches it alone, make does not die of it, and the exit status is the proxy's own.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

config=conf/quickstart.yaml
greeting=''
status=0
tools/build-guests.sh filters || status=$?
case $status in
  0) greeting='x-hello-rust and x-hello-go' ;;
  3)
    config=conf/quickstart-rust.yaml
    greeting='x-hello-rust'
    ;;
  *) exit "$status" ;;
esac

# The whole workspace decides the features, so that no crate is built twice with different ones.
cargo build --release --locked --workspace --bin sluice

cat <<EOF

Serving $config. In another terminal:

  curl -i http://127.0.0.1:8080/hello
      the response carries $greeting; the JSON is the request as the upstream got it
  curl -i http://127.0.0.1:8080/hello -d 'a body'
  ${CARGO_TARGET_DIR:-target}/release/sluice check -c $config

EOF
if [[ $status == 3 ]]; then
  cat <<EOF
LEFT OUT: the filter hello-go, because Go 1.24 or later is missing (get it from https://go.dev/dl/).
With Go, this command serves conf/quickstart.yaml, a chain of a Rust filter and a Go filter.

EOF
fi
sluice=${CARGO_TARGET_DIR:-target}/release/sluice
if [[ -t 0 ]]; then
  set -m
  "$sluice" run -c "$config"
else
  exec "$sluice" run -c "$config"
fi
