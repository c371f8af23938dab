# What a person types at Tunesafe's source. Nothing here names a path outside
# this folder but those given: PREFIX and DESTDIR.

PREFIX  ?= /usr/local
DESTDIR ?=
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null)

bin    = $(DESTDIR)$(PREFIX)/bin
man1   = $(DESTDIR)$(PREFIX)/share/man/man1
bashd  = $(DESTDIR)$(PREFIX)/share/bash-completion/completions
zshd   = $(DESTDIR)$(PREFIX)/share/zsh/site-functions
fishd  = $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d

GO      ?= go
LDFLAGS  = -s -w -X main.version=$(VERSION)

# Of "make bench": rounds of what a busy machine disturbs, a regular expression of the scenes and works, programs to compare (with
# commas; all that are here), size of the library in megabytes, tracks of the library of tiny ones, and other flags of tests/cmd/bench.
BENCH_ROUNDS ?= 3
BENCH_ONLY   ?=
BENCH_PEERS  ?=
BENCH_MB     ?= 1060
BENCH_TINY   ?= 20000
BENCH_FLAGS  ?=

# Of "make conformance": a built checkout of https://github.com/pjd/pjdfstest.
PJDFSTEST_DIR ?=

.PHONY: help run stop screenshots test e2e soak conformance bench budget build man completions install uninstall vet lint clean

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | sort

run: ## try it: a drive with a small music library, below build/run (MUSIC=DIR for your own)
	@sh scripts/deps.sh run
	@$(MAKE) --no-print-directory build
	@sh scripts/run.sh

stop: ## take the drive of "make run" away
	@sh scripts/stop.sh

test: ## run all tests, as this user and as another, and skip none
	@bash scripts/test.sh ci

screenshots: ## save pictures of the pages of "tunesafe web", in two widths, light and dark, to build/screenshots
	@sh scripts/deps.sh test
	@sh scripts/npmtools.sh axe-core
	rm -rf build/screenshots
	mkdir -p build/screenshots
	TUNESAFE_SCREENSHOTS='$(CURDIR)/build/screenshots' $(GO) test -count=1 ./tests/web

e2e: ## run the shows with large libraries and every server, and print their figures
	@bash scripts/test.sh e2e

soak: ## run all tests with their full counts: hours
	@bash scripts/test.sh soak

conformance: ## run the public suite of POSIX's rules (PJDFSTEST_DIR=DIR, a built checkout of it; as root)
	@PJDFSTEST_DIR='$(PJDFSTEST_DIR)' bash scripts/conformance.sh

bench: build ## compare with restic, rclone and others, and with the disk, and write docs/BENCHMARKS.md (BENCH_ROUNDS=N, BENCH_ONLY=REGEXP, BENCH_PEERS=NAMES)
	@sh scripts/deps.sh bench
	@sh scripts/gotools.sh versitygw
	@mkdir -p build/bench
	@for tool in s5cmd kopia; do sh scripts/gotools.sh $$tool >build/bench/$$tool.log 2>&1 || echo "without $$tool, which cannot be installed: build/bench/$$tool.log"; done
	$(GO) build -o build/bench/bench ./tests/cmd/bench
	build/bench/bench -program bin/tunesafe $(if $(filter-out scale,$(BENCH_ONLY)),,-to docs/BENCHMARKS.md) -rounds $(BENCH_ROUNDS) -only '$(BENCH_ONLY)' \
		-peers '$(BENCH_PEERS)' -mb $(BENCH_MB) -tiny $(BENCH_TINY) $(BENCH_FLAGS)

budget: ## write tests/budget/budget.json anew: requests, bytes, allocations, memory and instructions, none of which may double unseen
	@sh scripts/deps.sh test
	@sh scripts/gotools.sh versitygw
	rm -f tests/budget/budget.json
	TUNESAFE_BUDGET=write $(GO) test -count=1 -skip TestDoubling ./tests/budget ./tests/cmd/bench

build: bin/tunesafe ## build bin/tunesafe

# go itself knows best what has changed.
.PHONY: bin/tunesafe
bin/tunesafe:
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $@ ./cmd/tunesafe

man: bin/tunesafe ## write the manual pages to build/man
	rm -rf build/man
	mkdir -p build/man
	bin/tunesafe man build/man

completions: bin/tunesafe ## write the shells' completions to build/completions
	mkdir -p build/completions
	bin/tunesafe completion bash > build/completions/tunesafe
	bin/tunesafe completion zsh > build/completions/_tunesafe
	bin/tunesafe completion fish > build/completions/tunesafe.fish

install: build man completions ## install below PREFIX (/usr/local), staged in DESTDIR
	install -d '$(bin)' '$(man1)' '$(bashd)' '$(zshd)' '$(fishd)'
	install -m 755 bin/tunesafe '$(bin)/tunesafe'
	install -m 644 build/man/*.1 '$(man1)/'
	install -m 644 build/completions/tunesafe '$(bashd)/tunesafe'
	install -m 644 build/completions/_tunesafe '$(zshd)/_tunesafe'
	install -m 644 build/completions/tunesafe.fish '$(fishd)/tunesafe.fish'

uninstall: ## remove what install put below PREFIX
	rm -f '$(bin)/tunesafe' '$(man1)/tunesafe.1' '$(man1)'/tunesafe-*.1
	rm -f '$(bashd)/tunesafe' '$(zshd)/_tunesafe' '$(fishd)/tunesafe.fish'

vet: ## go vet, and gofmt
	$(GO) vet ./...
	@unformatted=$$(gofmt -l cmd cache fs internal sync tests); \
	if [ -n "$$unformatted" ]; then echo "gofmt: $$unformatted" >&2; exit 1; fi

lint: vet ## golangci-lint, by .golangci.yml
	sh scripts/lint.sh

clean: stop ## remove what was built, and what "make run" made
	rm -rf bin build
