# make deps    install what is missing: from Debian (as root, or with sudo; nothing else needs root), and three servers for the tests into .build
# make build   build everything, for debugging
# make test    deps, build, and run every test: a quarter of an hour on two processors
# make crash   cut more workloads after every file operation, each thoroughly: about ten seconds of a processor a seed, and half an hour of one for the
#              written ones, which go with the first seed; FIRST=1 SEEDS=40 by default, in about twenty minutes on two; FIRST=17 SEEDS=1 sees one again
# make kills   kill a writer again and again while others read and truncate: SECONDS=600
# make long    have much go through a log and look at what its process takes: MEGABYTES=10240, under 2 GiB on disk at any time
# make faults  have each call of each kind fail in its turn, in a running process: half an hour, most of which it waits; nine minutes of a processor
# make storm   ship through more faults to real servers, and read through all of them: FIRST=1 SEEDS=40
# make races   rivals for one epoch, many rounds: RACES=50
# make sanitize  the log's tests under the thread and the address sanitizer, about ten minutes
# make stores  the stores and the real servers against their contract, then the table of docs/stores.md
# make lint    only the tests of the house: the map, the import rules, the documents
# make bench   build the benchmarks for release and run them; BENCH="--filter append" for a part
# make demo    deps, build for release, and the whole story on this machine in under two minutes
# make clean   remove what was built

# Undeclared imports are errors: SwiftPM lets one through once the module happens to be built.
SWIFT_FLAGS = --explicit-target-dependency-import-check error
# As many tests at a time as there are processors: more, and those that wait for servers wait for each other past their limits.
# The backtracer can hang a test that kills its own children.
TEST = SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH=$$(nproc) SWIFT_BACKTRACE=enable=no \
	timeout -k 10 1800 swift test --skip-build --disable-xctest

.PHONY: deps build test lint bench demo clean

deps:
	@.ci/deps

build: deps
	swift build $(SWIFT_FLAGS)

build-tests: deps
	swift build --build-tests $(SWIFT_FLAGS)
.PHONY: build-tests

test: build-tests
	$(TEST)

# As TEST, for what is asked for and takes longer.
LONG_TEST = $(subst timeout -k 10 1800,timeout -k 10 7200,$(TEST))

FIRST ?= 1
SEEDS ?= 40
crash: build-tests
	WALSHIP_CRASH_FIRST=$(FIRST) WALSHIP_CRASH_SEEDS=$(SEEDS) $(LONG_TEST) --filter WALTests.CrashTests
.PHONY: crash

storm: build-tests
	WALSHIP_STORM_FIRST=$(FIRST) WALSHIP_STORM_SEEDS=$(SEEDS) $(LONG_TEST) --filter 'FollowerTests.(FaultScriptTests|ReadingFaultTests)'
.PHONY: storm

SECONDS ?= 600
kills: build-tests
	WALSHIP_KILL_SECONDS=$(SECONDS) $(LONG_TEST) --filter WALTests.StormTests
.PHONY: kills

MEGABYTES ?= 10240
long: build-tests
	WALSHIP_LONG_MEGABYTES=$(MEGABYTES) $(LONG_TEST) --filter WALTests.LongRunTests
.PHONY: long

faults: build-tests
	WALSHIP_FAULTS=1 $(LONG_TEST) --filter WALTests.FailingCallTests
.PHONY: faults

# Rivals for one epoch: so many times the rounds of `make test`, on the bench and on real servers.
RACES ?= 50
races: build-tests
	WALSHIP_RACES=$(RACES) $(subst timeout -k 10 1800,timeout -k 10 7200,$(TEST)) --filter 'Race|RivalTests|onTheEmbeddedServerOneOwnerGoesOn'
.PHONY: races

# The log and its tests alone, each sanitizer with a build of its own: docs/decisions/0007-sanitizers.md.
sanitize: deps
	Tests/Sanitize/run thread
	Tests/Sanitize/run address
.PHONY: sanitize

stores: build-tests
	$(TEST) --filter ConformanceTests
	WALSHIP_WRITE_STORES=1 $(TEST) --filter HouseTests.StoresTests
.PHONY: stores

lint: build-tests
	$(TEST) --filter HouseTests

# For release: the demo's speeds are the program's.
demo: deps
	swift build -c release --product walshipd
	"$$(swift build -c release --show-bin-path)/walshipd" demo

# What is measured where, and how to read the table: docs/benchmarks.md.
bench: deps
	swift build -c release --package-path Benchmarks
	"$$(swift build -c release --package-path Benchmarks --show-bin-path)/Benchmarks" $(BENCH)

clean:
	swift package clean
	swift package --package-path Benchmarks clean
