#!/bin/sh
# Shows Tunesafe at work, all of it below build/run: a repository behind the S3
# server inside the program, a drive, and music on it. May be run again: the
# drive and what is on it stay.
set -eu
cd "$(dirname "$0")/.."
at=build/run
drive=$at/drive
tunesafe() { bin/tunesafe --home "$at/home" "$@"; }
say() { printf '\n%s\n' "$*"; }
bytes() { numfmt --to=si --suffix=B --format=%.1f "$1" | sed 's/\([0-9]\)\([KMGT]\{0,1\}B\)$/\1 \2/; s/K/k/; s/\.0 B/ B/'; }
status() { tunesafe status --json | sed -n "s/^  \"$1\": \([0-9]*\),\{0,1\}$/\1/p"; }
# upload: waits until all is in the store, and says how much went there.
upload() {
	bytes_before=$(status uploaded_bytes) objects_before=$(status uploaded_objects)
	tunesafe wait
	sent=$(($(status uploaded_bytes) - bytes_before))
	objects=$(($(status uploaded_objects) - objects_before))
}
sounds() { find "$at/store" -path '*/audio/*' -type f | wc -l; }
mkdir -p "$drive" 2>/dev/null || true # it may be what a killed process left: mount sees to that

if [ -z "${MUSIC-}" ]; then
	music=$at/music
	if [ ! -e "$music/made" ]; then
		say "making a small music library with lame and ffmpeg, in $music"
		go run ./tests/cmd/makelib -preset sample "$music/library" >"$at/made"
		mv "$at/made" "$music/made"
	fi
	music=$music/library
else
	case $MUSIC in "~/"*) MUSIC=$HOME/${MUSIC#"~/"} ;; esac
	music=$MUSIC
	[ -d "$music" ] || { echo "error: MUSIC=$music is no folder" >&2; exit 1; }
fi

if [ ! -e "$at/home/config.toml" ]; then
	say "creating a repository"
	tunesafe init --store-dir "$at/store"
fi
if ! mountpoint -q "$drive"; then tunesafe mount "$drive"; fi

size=$(du -sb --apparent-size "$music" | cut -f1)
say "copying $music on to the drive: $(find "$music/" -type f | wc -l) files, $(bytes "$size")"
mkdir -p "$drive/Music"
cp -a "$music/." "$drive/Music"
upload
say "uploaded: $(bytes "$sent") in $objects objects"
tunesafe status | sed 's/^./    &/'

say "renaming an artist on the drive with mutagen, which many tag editors use:"
sounds_before=$(sounds)
retagged=$(/usr/bin/python3 scripts/retag.py "$drive/Music")
tracks=$(echo "$retagged" | tail -n 1)
echo "$retagged" | head -n 1 | sed 's/^/    /'
upload
say "uploaded for $tracks tracks: $(bytes "$sent") in $objects objects, $((sent / tracks)) bytes a track, of a library of $(bytes "$size")"
echo "new objects with sound: $(($(sounds) - sounds_before))"

say "look around:  ls $drive/Music; bin/tunesafe --home $at/home status"
echo "stop:         make stop"
