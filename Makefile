# `make run` and `make test` need a Rust toolchain and nothing else; scripts/setup gets the rest.

# A cmake that scripts/setup had to bring itself lives here.
export PATH := $(CURDIR)/.tools/bin:$(PATH)

CARGO_FLAGS ?=

# What `portcullis_build_info` says was built.
export PORTCULLIS_REVISION ?= $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)

.PHONY: run test soak bench bench-keys bench-proxy fmt lint

# Builds portcullis and serves gateway.yaml.
run:
	scripts/setup
	cargo run --release $(CARGO_FLAGS)

# Every test, behind real applications.
test:
	scripts/setup test
	cargo test $(CARGO_FLAGS)

# The tests that take longer the more they are asked for, at full size and against a release build: faults under load, ten
# thousand idle connections, reloads and upgrades under load. About a quarter of an hour; the figures are its lines with `|`.
soak:
	scripts/setup test
	cargo build --release $(CARGO_FLAGS)
	PORTCULLIS_TEST_BINARY="$${CARGO_TARGET_DIR:-$(CURDIR)/target}/release/portcullis" \
		SOAK_REQUESTS=200000 SOAK_RELOADS=20 SOAK_UPGRADES=3 SOAK_IDLE=10000 SOAK_DRIPPING=1000 \
		SOAK_CROWD_REQUESTS=30000 SOAK_FAULT_REQUESTS=6000 \
		cargo test --test serving $(CARGO_FLAGS) -- --nocapture --test-threads 1 faults:: upgrade:: reload::no_request

# What benches/README.md lists; the last one needs nginx.
bench:
	scripts/setup test
	cargo bench --bench '*' $(CARGO_FLAGS)

# A million API keys in a PostgreSQL of its own.
bench-keys:
	scripts/setup test
	cargo bench --bench keys $(CARGO_FLAGS)

# portcullis beside a bare pass-through and nginx.
bench-proxy:
	scripts/setup test
	cargo bench --bench proxy $(CARGO_FLAGS)

fmt:
	cargo fmt

lint:
	scripts/setup
	cargo clippy --all-targets $(CARGO_FLAGS) -- -D warnings
