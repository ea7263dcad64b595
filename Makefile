# Each target is a few commands that one could type.

.DEFAULT_GOAL := help
.PHONY: help demo test model bench fuzz format setup dev-start screenshot release install

# Of `make model`: how many cases are played; a thousand take half an hour.
CASES = 1000

# Of `make fuzz`: how many inputs each target is fed, and which targets; libFuzzer's options, for inputs that grow fast
# to a length that suffices; where a definition comes in, to the 64 KiB that AWS accepts.
RUNS = 1000000
TARGETS = $(basename $(notdir $(wildcard fuzz/targets/*.rs)))
FUZZ = RUSTC_WRAPPER="$(CURDIR)/fuzz/rustc" cargo run --locked --quiet -p fuzz --profile fuzz --features libfuzzer
MAX_LEN = 2048
fuzz-definition fuzz-derive fuzz-endpoint: MAX_LEN = 65536
LIBFUZZER = -runs=$(RUNS) -len_control=10 -max_len=$(MAX_LEN) -timeout=10

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 20

demo: ## Discover a simulated fleet; needs no AWS account
	cargo run --locked -p prometheus-ecs-sd -- demo

test: setup ## Check everything: format, lints, documentation, tests
	cargo fmt --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps
	cargo test --locked --workspace --doc
	cargo nextest run --locked --workspace

model: ## Play other random cases of the reference model than `make test` does: a thousand each, or CASES=100
	PROPTEST_CASES=$(CASES) PROPTEST_RNG_SEED=$$(date +%N) cargo test --locked -p prometheus-ecs-sd --test it \
	    -- model::whatever

bench: ## Measure, with BASELINE=FILE beside that binary; nginx and wrk are unpacked into .tools if they are not there
	scripts/setup bench
	cargo bench --locked -p ecs-discovery --bench rules
	BASELINE=$(BASELINE) cargo bench --locked -p prometheus-ecs-sd

fuzz: $(TARGETS:%=fuzz-%) ## Feed each fuzz target a million inputs; or RUNS=1000 TARGETS="arn state"

fuzz-%:
	mkdir -p fuzz/corpus/$* fuzz/artifacts/$*
	$(FUZZ) --bin $* -- $(LIBFUZZER) -artifact_prefix=fuzz/artifacts/$*/ fuzz/corpus/$* $(wildcard fuzz/seeds/$*)

format: ## Format the code
	cargo fmt

setup: ## Install what the tests need: cargo-nextest, Chromium, zsh and fish; Prometheus, moto and Terraform into .tools
	scripts/setup

dev-start: ## Discover the account of AWS_PROFILE, with the target files in .dev
	mkdir -p .dev
	cargo run --locked -p prometheus-ecs-sd -- --directory .dev

screenshot: ## Take the README's pictures of the status page
	scripts/screenshot

release: ## Build target/release/prometheus-ecs-sd
	cargo build --locked --release -p prometheus-ecs-sd

install: ## Install prometheus-ecs-sd into cargo's directory
	cargo install --locked --path crates/prometheus-ecs-sd
