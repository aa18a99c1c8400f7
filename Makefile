# What people type. `make run` and `make test` do all set-up on a fresh Debian machine with Rust and Node.
SHELL := /bin/bash
.DEFAULT_GOAL := help
BACKING ?= embedded
# How the simulation is built: as the tests are; `make simulate SIMULATE=--release` runs more seeds a second.
SIMULATE ?=

.PHONY: help run console demo test setup setup-test lint fuzz simulate campaign figures statistics bench bench-quick instructions doc bless pictures clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | sort | column -t -s "$$(printf '\t')"

run: ## build, start the embedded server with a real demo, and keep it running
	@tests/setup.sh run
	cargo build --release --locked --bin huidu --example demo
	cargo run --release --locked --example demo -- --backing embedded --stay

console: ## build the web console, and install what its tests open it with
	@tests/setup.sh console

demo: ## the whole story on real packages; BACKING=embedded or BACKING=s3+redis (three nodes)
	@tests/setup.sh demo $(BACKING)
	cargo build --release --locked --bin huidu --example demo
	cargo run --release --locked --example demo -- --backing '$(BACKING)'

test: ## install what is missing and run everything CI runs
	@tests/setup.sh test
	tests/run-all.sh

lint: ## format, clippy and documentation, without warnings
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

fuzz: ## every fuzz target for FUZZ_SECONDS (45) each
	@tests/setup.sh fuzz
	tests/fuzz/run.sh

simulate: ## SEEDS=100000 seeds of the simulation, FROM one on, with progress and totals; SEED=17 tells one again
	SEEDS=$${SEEDS:-100000} cargo test $(SIMULATE) --locked -p huidu --lib simulated_no_promise -- --nocapture

figures: ## the figures of trust, to target/figures.jsonl; `make test` runs every harness of it
	@tests/setup.sh test
	python3 tests/figures.py

campaign: ## everything breaks on real processes, in under 20 minutes; one table, figures appended to target/figures.jsonl
	@tests/setup.sh campaign
	python3 tests/figures.py --campaign

statistics: ## guards over 10 000 simulated streams each, and the pictures of docs/statistics.md
	@tests/setup.sh test
	cargo nextest run --locked -p huidu-core --test stats
	python3 tests/stats/plot.py target/tmp/stats docs/statistics

bench: ## everything that is compared, side by side; one table, kept under benches/runs
	@tests/setup.sh bench
	python3 benches/run.py

bench-quick: ## the same in under three minutes, builds aside
	@tests/setup.sh bench
	python3 benches/run.py --quick

instructions: ## instructions of a poll in user space beside bare hyper, by callgrind
	@tests/setup.sh bench
	python3 benches/instructions.py

bless: ## rewrite the generated files that tests guard against drift
	HUIDU_BLESS=1 cargo nextest run --workspace --locked -E 'test(the_committed) + test(metrics)' --no-fail-fast
	cargo nextest run -p huidu-core --lib --locked --no-capture the_committed_vectors 2>/dev/null | sed -n '/^\[$$/,/^\]$$/p' > target/verify.json || true
	test ! -s target/verify.json || mv target/verify.json tests/vectors/verify.json

pictures: ## take the pictures of docs/for again, as the stories of the console see them
	@tests/setup.sh test
	HUIDU_PICTURES=$(CURDIR)/target/pictures cargo nextest run -p huidu --test it --locked 'console::a_'
	mkdir -p docs/for/pictures
	for one in $$(grep -oh 'pictures/[a-z-]*\.png' docs/for/*.md); do cp target/$$one docs/for/$$one; done

doc: ## the library's documentation
	cargo doc --workspace --no-deps --locked --open
