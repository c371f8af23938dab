#!/bin/sh
# Installs servers to test against, and programs to compare with, into .bin, unless
# the right version is there:
#
#   scripts/gotools.sh versitygw minio s5cmd kopia
set -eu
cd "$(dirname "$0")/.."

# A program is built in its module as that came, by the module's own go.mod and go.sum: "go
# install" wants to see a list of all versions as well, which not every proxy serves.
want() { # package of the program, module, version, variable that tells the version
	name=${1##*/}
	case $name in v[0-9]*) name=$(basename "${1%/*}") ;; esac
	built="$2 $3 $(go env GOVERSION)"
	if [ -x ".bin/$name" ] && [ "$(cat ".bin/.$name" 2>/dev/null)" = "$built" ]; then return; fi
	echo "installing $name $3: some minutes, once"
	dir=$(go mod download -json "$2@$3" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
	mkdir -p .bin
	bin=$PWD/.bin
	(cd "$dir${1#"$2"}" && GOFLAGS= go build -mod=readonly -ldflags "${4:+-X $4=$3}" -o "$bin/$name" .)
	echo "$built" >".bin/.$name"
}

for tool; do
	case $tool in
	versitygw) want github.com/versity/versitygw/cmd/versitygw github.com/versity/versitygw v1.8.0 ;;
	minio) want github.com/minio/minio github.com/minio/minio v0.0.0-20260212201848-7aac2a2c5b7c ;;
	pebble)
		want github.com/letsencrypt/pebble/v2/cmd/pebble github.com/letsencrypt/pebble/v2 v2.10.1
		want github.com/letsencrypt/pebble/v2/cmd/pebble-challtestsrv github.com/letsencrypt/pebble/v2 v2.10.1
		;;
	s5cmd) want github.com/peak/s5cmd/v2 github.com/peak/s5cmd/v2 v2.3.0 github.com/peak/s5cmd/v2/version.Version ;;
	kopia) want github.com/kopia/kopia github.com/kopia/kopia v0.23.1 github.com/kopia/kopia/repo.BuildVersion ;;
	*) echo "usage: scripts/gotools.sh versitygw|minio|pebble|s5cmd|kopia…" >&2; exit 2 ;;
	esac
done
