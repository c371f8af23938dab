#!/bin/sh
# Runs golangci-lint, and installs it into .bin first if the machine lacks it.
set -eu
version=v2.15.0
cd "$(dirname "$0")/.."
tool=$(command -v golangci-lint || true)
if [ -z "$tool" ]; then
	tool=.bin/golangci-lint
	[ -x "$tool" ] || GOBIN="$PWD/.bin" go install "github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$version"
fi
exec "$tool" run ./...
