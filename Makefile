# `make run` and `make test` need a Rust toolchain and nothing else; scripts/setup gets the rest.

# A cmake that scripts/setup had to bring itself lives here.
export PATH := $(CURDIR)/.tools/bin:$(PATH)

CARGO_FLAGS ?=

.PHONY: run test bench fmt lint

# Builds portcullis and serves gateway.yaml.
run:
	scripts/setup
	cargo run --release $(CARGO_FLAGS)

# Every test, behind real applications.
test:
	scripts/setup test
	cargo test $(CARGO_FLAGS)

bench:
	scripts/setup
	cargo bench $(CARGO_FLAGS)

fmt:
	cargo fmt

lint:
	scripts/setup
	cargo clippy --all-targets $(CARGO_FLAGS) -- -D warnings
