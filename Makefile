# Signet. `make` alone prints what there is to make.

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -ec
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# An older local Go fetches the toolchain that go.mod names. The tags keep
# database drivers out that no one here uses and that do not build together.
export GOTOOLCHAIN := auto
TAGS := nobadger,nobadgerv1,nobadgerv2,nobbolt,nomysql,nopgx
# Git's state is stamped into the binary where git can tell it: not in an
# exported tree, and not in a checkout that belongs to somebody else.
VCS := $(shell git rev-parse HEAD >/dev/null 2>&1 && git status --porcelain >/dev/null 2>&1 && echo auto || echo false)
export GOFLAGS := -tags=$(TAGS) -buildvcs=$(VCS)

FUZZTIME ?= 5s
GOTEST := go test -json -count=1 -p 2

RECORDS ?= 10000000
.PHONY: help build demo test race fuzz lint pages vectors bench bench-curve bench-rotation gen check vuln toolchain scanner

help: ## print this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: toolchain scanner ## build bin/signet with the page at /verify/
	@mkdir -p bin
	go build -o bin/signet ./cmd/signet

demo: build ## make the demo city in build/demo, or open it again, and serve it
	@mkdir -p build
	bin/signet demo --data build/demo

test: toolchain build/report ## run every test, installing from Debian and npm what they need
	@certs-test/scripts/need.sh
	@$(MAKE) scanner || [[ -z $$CI ]]
	@$(GOTEST) -timeout 20m ./... | build/report

race: toolchain build/report ## run every test under the race detector
	@certs-test/scripts/need.sh
	@$(MAKE) scanner || [[ -z $$CI ]]
	@$(GOTEST) -race -timeout 60m ./... | build/report

fuzz: toolchain ## run every fuzz target for FUZZTIME (5s)
	@certs-test/scripts/fuzz.sh $(FUZZTIME)

lint: toolchain ## gofmt, go vet, staticcheck and the table of imports
	@certs-test/scripts/format.sh
	go vet ./...
	go tool -modfile=tools/go.mod staticcheck -checks=inherit,ST1000,ST1020,ST1021,ST1022 ./...
	go test -count=1 ./internal/arch

pages: toolchain ## draw every page, in both languages, to build/pages
	@certs-test/scripts/need.sh
	@rm -rf build/pages && mkdir -p build/pages
	@SIGNET_PAGES=$(CURDIR)/build/pages go test -count=1 -p 1 -timeout 20m -run '^TestPages$$' \
		$$(grep -rlE '^func TestPages\(' --include='*_test.go' --exclude-dir=node_modules . | xargs -n 1 dirname | sort -u)
	@echo "build/pages/index.html"

vectors: build ## hold Go, the command line and the page against all test vectors and their mutants
	go run ./certs-test/vectors

bench: toolchain ## measure, print a table and write build/bench.json
	@mkdir -p build
	go run ./certs-test/bench

bench-curve: toolchain ## plot what an issue costs at 1,000 to RECORDS (10000000) licences: build/bench-curve.svg
	@certs-test/scripts/need.sh
	go run ./certs-test/curve -records $(RECORDS)

bench-rotation: toolchain ## rotate every key under full load; the last line counts what went wrong
	@certs-test/scripts/need.sh
	go run ./certs-test/rotation

gen: toolchain ## make generated files and test vectors anew
	go generate ./...

check: lint test race fuzz ## all of it, the build without cgo, and nothing new after gen
	CGO_ENABLED=0 go build -o /dev/null ./cmd/signet
	@certs-test/scripts/unchanged.sh $(MAKE) gen

vuln: toolchain ## look for known vulnerabilities, where their database can be reached
	go tool -modfile=tools/go.mod govulncheck ./...

# npm installs what a lock file names once, and the page is made anew when what it
# is made of has changed (verify/scanner/build.mjs).
%/node_modules/.package-lock.json: %/package.json %/package-lock.json
	@certs-test/scripts/npm.sh $*
	@touch $@

scanner: verify/scanner/node_modules/.package-lock.json
	@cd verify/scanner && npm run --silent build || { echo "signet: the page at /verify/ could not be built: see above" >&2; exit 1; }

# The local Go must be able to fetch another: 1.21 was the first that could.
toolchain:
	@certs-test/scripts/toolchain.sh

.PHONY: build/report
build/report: toolchain
	@mkdir -p build
	@go build -o $@ ./certs-test/report
