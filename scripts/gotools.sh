#!/bin/sh
# Installs servers to test against, and programs to compare with, into .bin, unless
# the right version is there:
#
#   scripts/gotools.sh versitygw minio s5cmd kopia
set -eu
cd "$(dirname "$0")/.."

want() { # path of the program, module, version
	name=${1##*/}
	if go version -m ".bin/$name" 2>/dev/null | grep -q "^	mod	$2	$3	"; then return; fi
	echo "installing $name $3: some minutes, once"
	GOBIN="$PWD/.bin" go install "$1@$3"
}

for tool; do
	case $tool in
	versitygw) want github.com/versity/versitygw/cmd/versitygw github.com/versity/versitygw v1.8.0 ;;
	minio) want github.com/minio/minio github.com/minio/minio v0.0.0-20260212201848-7aac2a2c5b7c ;;
	pebble)
		want github.com/letsencrypt/pebble/v2/cmd/pebble github.com/letsencrypt/pebble/v2 v2.10.1
		want github.com/letsencrypt/pebble/v2/cmd/pebble-challtestsrv github.com/letsencrypt/pebble/v2 v2.10.1
		;;
	s5cmd) want github.com/peak/s5cmd/v2 github.com/peak/s5cmd/v2 v2.3.0 ;;
	kopia) want github.com/kopia/kopia github.com/kopia/kopia v0.23.1 ;;
	*) echo "usage: scripts/gotools.sh versitygw|minio|pebble|s5cmd|kopia…" >&2; exit 2 ;;
	esac
done
