# What a person does with this repository. Cargo does the work; this file only names it.

.PHONY: demo serve test test-eventstoredb eventstoredb-tests next-release bench growth check setup help

help:
	@echo "make demo    get what is missing, build, open a shop, sell, and check the books"
	@echo "make serve   the same over HTTP, on http://127.0.0.1:8080"
	@echo "make test    every test: unit, contract, simulation, processes killed, faults injected, deploy/ checked;"
	@echo "             on real orders, too, where COUNTERFOIL_RETAIL_DATA names their folder"
	@echo "make next-release   what make test runs beside the executable, as the release after it"
	@echo "make test-eventstoredb    what is promised of the log, against the server that EVENTSTOREDB_URL names"
	@echo "make eventstoredb-tests   the same tests as files, to be carried to where a server is and no toolchain"
	@echo "make bench   how fast this is, beside what the machine can do at best: five minutes, and nothing else meanwhile"
	@echo "make growth  what ten million events make slower, drawn into docs/growth.svg: some twenty minutes, and 20 GiB of disk"
	@echo "make check   format, lints, and the dependencies that must not exist"
	@echo "make setup   get what is missing: PostgreSQL 15 or later"

demo: setup
	cargo run -- demo $(ARGS)

serve: setup
	cargo run -- serve $(ARGS)

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

# The contract of the store, the appends of the simulation and the shop itself, against a server instead of what
# stands in for one. Every test has a namespace of its own there, so that it can be run again on the same server; what
# others have written is passed over, which takes longer the more it is (a second run: 300 s instead of 260).
#
# Where a server is, there is seldom a toolchain. `make eventstoredb-tests` puts the tests, the executable and this
# file into target/eventstoredb-tests. In a copy of that folder, on a machine of the same kind that has PostgreSQL:
#     EVENTSTOREDB_URL='esdb://admin:changeit@host:2113?tls=false' \
#         make test-eventstoredb STORE_TESTS=./store SYSTEM_TESTS=./system COUNTERFOIL_EXECUTABLE=./counterfoil
# To see it work without a server: `cargo run -p eventstoredb-stand-in --example server` is one, and prints its URL.
STORE_BUILD = -p event-store --features eventstoredb --test store
SYSTEM_BUILD = --features $(FEATURES) --test system
# One rule after the other: some read the log event by event, and would have to pass what the others write.
STORE_FILTER = contract::eventstoredb
ONE_BY_ONE = --test-threads=1
SYSTEM_FILTERS = simulation::transcript event_store_elsewhere

# A build without the tests that are asked for would pass. (tests, filters)
has = @for filter in $(2); do $(1) --list $$filter | grep -q ': test$$' || \
	{ echo "$(1) has no tests called $$filter"; exit 1; }; done

test-eventstoredb:
	@test -n "$$EVENTSTOREDB_URL" || { echo 'set EVENTSTOREDB_URL, as in esdb://admin:changeit@host:2113?tls=false'; exit 1; }
ifneq ($(STORE_TESTS)$(SYSTEM_TESTS),)
	@test -n "$(STORE_TESTS)" -a -n "$(SYSTEM_TESTS)" || { echo 'give both, STORE_TESTS and SYSTEM_TESTS'; exit 1; }
	$(call has,$(STORE_TESTS),$(STORE_FILTER))
	$(call has,$(SYSTEM_TESTS),$(SYSTEM_FILTERS))
	$(SYSTEM_TESTS) $(SYSTEM_FILTERS)
	$(STORE_TESTS) $(STORE_FILTER) $(ONE_BY_ONE)
else
	cargo test $(SYSTEM_BUILD) -- $(SYSTEM_FILTERS)
	cargo test $(STORE_BUILD) -- $(STORE_FILTER) $(ONE_BY_ONE)
endif

CARRIED = target/eventstoredb-tests
# Builds a test, and names the files of a kind that came of it. (what to build, kind)
built = cargo test $(1) --no-run --message-format json | \
	sed -n '/"kind":\["$(2)"\]/s/.*"executable":"\([^"]*\)".*/\1/p'

eventstoredb-tests:
	mkdir -p $(CARRIED)
	cp "$$($(call built,$(STORE_BUILD),test))" $(CARRIED)/store
	cp "$$($(call built,$(SYSTEM_BUILD),test))" $(CARRIED)/system
	cp "$$($(call built,$(SYSTEM_BUILD),bin))" $(CARRIED)/counterfoil
	cp Makefile $(CARRIED)

BENCHES = append hot-stream read-all checkout flash-sale rebuild read tail scale-out

bench: setup
	cargo run --release -- bench $(BENCHES) --seconds 3 $(ARGS)

growth: setup
	cargo run --release -- bench growth --plot docs/growth.svg $(ARGS)

check:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --all-features -- -D warnings
	.ci/missing-edges

setup:
	@./setup.sh
