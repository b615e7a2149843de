# Thin: each line calls cargo or a script.

.PHONY: setup filters

setup: ## check, and where it can be done install, what builds the WebAssembly guests
	tools/guest-toolchain.sh setup

filters: ## build every filter and every test guest (3 = all but the Go ones, which were named)
	tools/build-guests.sh all || test $$? -eq 3
