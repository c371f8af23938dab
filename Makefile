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

.PHONY: help build man completions install uninstall vet lint clean

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | sort

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

clean: ## remove what was built
	rm -rf bin build
