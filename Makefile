# Fairlead: everything starts here. `make help` lists it. Nothing needs more than a Rust toolchain; the rest is installed.
#
# `demo` and `test` build the same units (dev profile, failpoints), so neither compiles anything twice. The target folder
# is outside the tree and shared by clones; CARGO_TARGET_DIR chooses another.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:
.NOTPARALLEL:

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/fairlead
export CARGO_TARGET_DIR ?= $(CACHE)/target
export FUZZ_SECONDS ?= 600

# What developers and the demo run: crash points in, debug assertions on.
DEV := --workspace --features failpoints --locked
# Naming a test makes cargo take the dev-dependencies' features too: the same units as `cargo test`.
DEV_BINARY := $(DEV) --bin fairlead --test tidy
BINARY := $(CARGO_TARGET_DIR)/debug/fairlead

.PHONY: help setup demo test build verify fix proof fuzz

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## (.*)/  make \1\t\2/' | expand -t 16

demo: ## three members and a prompt to break them with; ARGS="--keep DIR" goes through
	@scripts/setup.sh build
	cargo build $(DEV_BINARY)
	exec "$(BINARY)" demo $(ARGS)

test: ## all tests; TEST=words runs those whose names hold them
	@scripts/setup.sh test
	cargo build $(DEV_BINARY)
	if cargo nextest --version >/dev/null 2>&1; then
		cargo nextest run $(DEV) $(TEST)
		cargo test $(DEV) --doc $(TEST)
	else
		cargo test $(DEV) $(TEST)
	fi

build: ## bin/fairlead, and bin/etcd, a link to it (release profile)
	@scripts/setup.sh build
	. scripts/rocksdb.sh "$(CARGO_TARGET_DIR)"
	cargo build --release --locked --package fairlead-cli --bin fairlead
	mkdir -p bin
	install -m 755 "$(CARGO_TARGET_DIR)/release/fairlead" bin/fairlead
	ln -sfn fairlead bin/etcd

verify: ## what a change must pass: format, lints, documentation, tests and tidy; writes nothing here
	@scripts/setup.sh test
	cargo fmt --all --check
	cargo clippy $(DEV) --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc $(DEV) --no-deps --document-private-items
	$(MAKE) --no-print-directory test

fix: ## let the tools repair format and lints
	cargo fmt --all
	cargo clippy $(DEV) --all-targets --fix --allow-dirty --allow-staged
	cargo fmt --all

proof: build ## the long runs whose results are committed under docs/proof, hours in all; PROOF=name runs one
	@scripts/setup.sh test
	scripts/proof.sh $(PROOF)

fuzz: ## every fuzz target, FUZZ_SECONDS (600) each; FUZZ=name runs one
	@scripts/setup.sh build
	scripts/fuzz.sh $(FUZZ)
