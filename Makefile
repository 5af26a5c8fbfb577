# What a person does with this repository. Cargo does the work; this file only names it.

.PHONY: demo serve test test-eventstoredb next-release bench check setup help

help:
	@echo "make demo    get what is missing, build, open a shop, sell, and check the books"
	@echo "make serve   the same over HTTP, on http://127.0.0.1:8080"
	@echo "make test    every test: unit, contract, simulation, processes killed, faults injected, deploy/ checked;"
	@echo "             on real orders, too, where COUNTERFOIL_RETAIL_DATA names their folder"
	@echo "make next-release   what make test runs beside the executable, as the release after it"
	@echo "make test-eventstoredb    the contract of the event store, against the server that EVENTSTOREDB_URL names"
	@echo "make bench   how fast this is, beside what the machine can do at best: ten minutes, and nothing else meanwhile"
	@echo "make check   format, lints, and the dependencies that must not exist"
	@echo "make setup   get what is missing: PostgreSQL 15 or later"

demo: setup
	cargo run --quiet -- demo $(ARGS)

serve: setup
	cargo run --quiet -- serve $(ARGS)

# Tests cause faults.
FEATURES = fault-injection

# With COUNTERFOIL_RETAIL_DATA, also the tests on real orders, which are ignored without it.
test: setup next-release
	deploy/check
	cargo test --workspace --features $(FEATURES)
ifdef COUNTERFOIL_RETAIL_DATA
	cargo test --workspace --features $(FEATURES) real_history -- --ignored
endif

# What pretends to be the release after this one, for the tests in which two releases are at work beside each other.
next-release:
	cargo build --features $(FEATURES),next-release --bin counterfoil
	mkdir -p target/next-release
	cp target/debug/counterfoil target/next-release/counterfoil.new
	mv target/next-release/counterfoil.new target/next-release/counterfoil

# Without cargo, give the tests as they were built (`cargo test -p event-store --features eventstoredb
# --test store --no-run` names the file): make test-eventstoredb STORE_TESTS=./store-0123456789abcdef
test-eventstoredb:
	@test -n "$$EVENTSTOREDB_URL" || { echo 'set EVENTSTOREDB_URL, as in esdb://admin:changeit@host:2113?tls=false'; exit 1; }
ifdef STORE_TESTS
	$(STORE_TESTS) contract::eventstoredb
else
	cargo test -p event-store --features eventstoredb --test store contract::eventstoredb
endif

BENCHES = append hot-stream read-all checkout flash-sale rebuild read tail scale-out

bench: setup
	cargo run --quiet --release -- bench $(BENCHES) --seconds 3 $(ARGS)

check:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --all-features -- -D warnings
	.ci/missing-edges

setup:
	@./setup.sh
