#!/bin/sh
# Puts what tests take from npm into .bin, unless the right version is there:
#
#   scripts/npmtools.sh axe-core openapi
set -eu
cd "$(dirname "$0")/.."

want() { # package, version, SHA-512 of the archive, file of it
	at=.bin/$1
	if [ "$(cat "$at/version" 2>/dev/null)" = "$2" ]; then return; fi
	echo "installing $1 $2"
	mkdir -p "$at"
	archive=$at/$(cd "$at" && npm pack --silent "$1@$2" 2>/dev/null | tail -n 1)
	echo "$3  $archive" | sha512sum --check --quiet || { echo "error: $1 $2 from npm is not what it was" >&2; exit 1; }
	tar -xzf "$archive" -C "$at" --strip-components=1 "package/$4" package/LICENSE
	rm "$archive"
	echo "$2" >"$at/version"
}

# locked installs what a lock file beside this script says, which has the hash of each package.
locked() {
	if cmp -s "scripts/$1/package-lock.json" ".bin/$1/package-lock.json"; then return; fi
	echo "installing $1 of npm"
	rm -rf ".bin/$1"
	mkdir -p ".bin/$1"
	cp "scripts/$1/package.json" "scripts/$1/package-lock.json" ".bin/$1/"
	(cd ".bin/$1" && npm ci --silent --ignore-scripts --no-audit --no-fund) || { rm -rf ".bin/$1"; echo "error: npm ci of scripts/$1 failed" >&2; exit 1; }
}

for tool; do
	case $tool in
	axe-core) want axe-core 4.14.1 1477dafa598d8d065f273d6af302aa203c02e83131707b7fa648cd41bd3d6b734f8c22a0dab86ee6a6f64b8afbe804b214d36db85a2826965edfb3a0b9d546b5 axe.min.js ;;
	openapi) locked openapi ;;
	*) echo "usage: scripts/npmtools.sh axe-core|openapi …" >&2; exit 2 ;;
	esac
done
