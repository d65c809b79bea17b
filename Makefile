# What is built and checked here, and how. "make help" lists the targets.
#
# Needs Go and a POSIX system. "demo", "stack" and "test" also start real servers and
# a real chromium: deploy/testbed/fetch.sh gets them where it can and says loudly
# where it cannot.

SHELL       := bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS   += --no-builtin-rules
.DEFAULT_GOAL := build
.PHONY: help build demo stack testbed test check fmt race fuzz bench soak clean

# The version is what go build stamps from git. Where there is no git, or git does
# not trust the folder, the stamp is left out, since it would fail the build. All else is
# compiled in one way, as what is shipped is, so that nothing is compiled twice.
BUILDVCS := $(shell git status --porcelain >/dev/null 2>&1 && echo auto || echo false)
export GOFLAGS := $(strip $(GOFLAGS) -buildvcs=$(BUILDVCS) -trimpath)
export CGO_ENABLED := 0

# Fetched parts come first, then what the system has; /usr/sbin is where nginx is.
export PATH := $(CURDIR)/.testbed/bin:$(PATH):/usr/sbin:/sbin

DEMO_FLAGS ?=
TEST_FLAGS ?=
FUZZTIME   ?= 10s
BENCHTIME  ?= 200ms
BENCH_FLAGS ?=
export FUZZTIME

# Tests are linked without what debuggers read: that is most of the linker's work. Stack
# traces stay whole.
LEAN := -ldflags='-s -w'

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(firstword $(MAKEFILE_LIST)) | sed -E 's/:.*## /\t/' | expand -t 10

build: ## one static binary, bin/portcullis
	go build -ldflags '-s -w' -o bin/portcullis ./cmd/portcullis

demo: build ## a real nginx, good clients and attackers, and Portcullis beside it
	@deploy/testbed/fetch.sh nginx
	./bin/portcullis demo $(DEMO_FLAGS)

stack: build ## the pipeline as separate processes, with a real Kafka and Elasticsearch, until Ctrl-C
	@deploy/testbed/fetch.sh nginx kafka elastic
	@deploy/testbed/stack.sh

testbed: ## fetch the real parts that the tests start
	@deploy/testbed/fetch.sh

test: testbed ## all tests; with CI=true a skipped one is a failure
	@mkdir -p .testbed
	go build -o .testbed/bin/tally ./deploy/testbed/tally
	{ status=0; go test $(LEAN) -json -timeout 20m $(TEST_FLAGS) ./... || status=1; \
	  go -C deploy/check test $(LEAN) -json $(TEST_FLAGS) ./... || status=1; exit $$status; } | \
	  .testbed/bin/tally -closing .testbed/closing.txt $(if $(filter true,$(CI)),-strict)

check: ## gofmt, vet, staticcheck, the law of the house
	@unformatted=$$(gofmt -l $$(find . -name '*.go' -not -path './.testbed/*' -not -path '*/testdata/*')); \
	if [ -n "$$unformatted" ]; then echo "gofmt wants to change (run make fmt):"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	go -C deploy/check vet ./...
	go -C fixtures/peers vet ./... && go -C fixtures/peers test ./gotestwaf
	go -C deploy/testbed/otelcol vet ./...
	go tool staticcheck ./...
	go test -count=1 ./internal/law/

fmt: ## format what make check complains about
	gofmt -w $$(find . -name '*.go' -not -path './.testbed/*' -not -path '*/testdata/*')

race: ## the tests under the race detector, the long ones left out
	@command -v "$$(go env CC)" >/dev/null || { echo "make race needs a C compiler: apt-get install gcc"; exit 1; }
	CGO_ENABLED=1 go test $(LEAN) -vet=off -race -short -timeout 15m ./...

fuzz: ## each fuzz target's corpus, then FUZZTIME of new inputs
	deploy/testbed/fuzz.sh

bench: build ## Go benchmarks, BENCHTIME each, then the whole path (PORTCULLIS_BENCH=1: the heavy ones too)
	go test $(LEAN) -vet=off -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) \
	  $$(grep -rl --include='*_test.go' --exclude-dir='.?*' '^func Benchmark' . | xargs -r -n1 dirname | sort -u)
	./bin/portcullis bench $(BENCH_FLAGS)

soak: testbed ## the long versions of the tests that have one (an hour)
	PORTCULLIS_SOAK=1 go test -count=1 -v -timeout 3h \
	  $$(grep -rl --include='*_test.go' --exclude-dir='.?*' PORTCULLIS_SOAK . | xargs -r -n1 dirname | sort -u)

clean: ## remove what was built and fetched
	rm -rf bin .testbed
