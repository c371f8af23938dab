#!/usr/bin/env bash
# Runs the tests, with everything they need, skipping nothing:
#
#   scripts/test.sh ci      all tests, small counts; part of them also as another user
#   scripts/test.sh e2e     the shows below tests/ against every server, with their figures
#   scripts/test.sh soak    all tests, full counts
#
# The last line says how many passed and failed. TUNESAFE_SEED repeats a run.
set -euo pipefail
cd "$(dirname "$0")/.."
tier=${1-ci}
export TUNESAFE_TIER=$tier TUNESAFE_REQUIRE_TOOLS=1

module=github.com/tunesafe/tunesafe
out=$PWD/build/test
results=$out/results
rm -rf "$out"
mkdir -p "$out"

say() { printf '\n== %s (%ds)\n' "$*" "$SECONDS"; }

if [ "$tier" = ci ]; then sh scripts/deps.sh test; else sh scripts/deps.sh e2e; fi
sh scripts/npmtools.sh axe-core openapi
case $tier in
ci) sh scripts/gotools.sh versitygw; limit=30m ;;
e2e) sh scripts/gotools.sh versitygw minio; limit=3h ;;
soak) sh scripts/gotools.sh versitygw minio; limit=72h ;;
*) echo "usage: scripts/test.sh ci|e2e|soak" >&2; exit 2 ;;
esac
go build -o "$out/summary" ./tests/cmd/summary
go build -o "$out/tunesafe" ./cmd/tunesafe
export TUNESAFE_PROGRAM=$out/tunesafe # or each show would link its own

# What only the shows need is built while the tests run.
sh scripts/gotools.sh pebble &
tools_pid=$!

# fail: remembers that a run failed, from whatever process of this script.
fail() { : >"$out/failed"; }
# as NAME: reads a run's events.
as() { "$out/summary" -as "$1" -to "$results" || fail; }
# suite NAME ARGUMENTS: go test with these, as this user. Tests that go side by side
# in a package mostly wait.
suite() {
	local name=$1
	shift
	{ go test -json -count=1 -vet=off -timeout "$limit" -parallel 4 "$@" 2>&1 || fail; } | as "$name"
}

# Where much happens at once, the race detector looks on. It needs cgo.
raced='\./(cache|sync(/.*)?|internal/(agent|control|home|kv|repo|store(/.*)?))'
[ "$tier" = soak ] && raced+='|\./fs' # six times as long
shown='\./tests/(agent|budget|crash|e2e|feed|format|home|model|nightly|nights|player|power|web)'
mapfile -t packages < <(go list ./... | sed "s,^$module,.,")
pick() { printf '%s\n' "${packages[@]}" | grep -Ex "$@"; }
mapfile -t units < <(pick '\./(sync|internal/store/s3)' | sort -r; pick "$raced" | grep -Evx '\./(sync|internal/store/s3)') # the longest first
mapfile -t shows < <(pick "$shown")
mapfile -t others < <(pick -v "$raced|$shown")
stepping=(./sync ./internal/store/s3 ./internal/repo)
step_by_step() {
	for p in "${stepping[@]}"; do grep -h -B1 'tools\.StepByStep(t)' "$p"/*_test.go; done |
		sed -n 's/^func \(Test[A-Za-z0-9]*\).*/\1/p' | paste -sd'|'
}
race() { [ "$(go env CGO_ENABLED)" = 1 ] && command -v "$(go env CC)" >/dev/null; }

# another_user: the user to test as beside this one, root or not root.
if [ "$(id -u)" = 0 ]; then
	another=tunesafe-test
	as_another() { setpriv --reuid="$another" --regid="$another" --clear-groups env "$@"; }
else
	another=root
	as_another() { sudo env "$@"; }
fi

# The other user need not be able to read this folder, so gets programs.
other_user() {
	local dir base=${TMPDIR:-/tmp}
	if [ "$another" != root ] && ! id "$another" >/dev/null 2>&1; then
		useradd --system --no-create-home --shell /usr/sbin/nologin "$another"
	fi
	dir=$(mktemp -d "$base/tunesafe-test.XXXXXX")
	chmod 755 "$dir"
	mkdir "$dir/tmp" "$dir/bin" "$dir/tests"
	cp .bin/versitygw "$dir/bin/"
	cp tests/restore.py "$dir/tests/"
	cp FORMAT.md "$dir/" # its recipe is carried out
	cp "$TUNESAFE_PROGRAM" "$dir/bin/"
	[ "$another" = root ] || chown "$another" "$dir/tmp"
	in_package cmd/tunesafe .
	if [ "$another" = root ]; then in_package fs .; fi # as a plain user it tests by itself
	in_package tests/crash 'TestKillWhileCopying|TestEnds'
	if [ "$another" = root ]; then in_package tests/e2e TestPlainUser; fi
	if [ "$another" = root ]; then as_another rm -rf "$dir"; else rm -rf "$dir"; fi
}

# in_package PACKAGE TESTS: runs them as the other user.
in_package() {
	local at=$dir/$1
	mkdir -p "$at"
	go test -c -vet=off -o "$at/run" "./$1"
	if [ -d "$1/testdata" ]; then cp -r "$1/testdata" "$at/"; fi
	[ "$another" = root ] || chown -R "$another" "$at"
	{
		cd "$at"
		as_another HOME="$dir/tmp" TMPDIR="$dir/tmp" TUNESAFE_PROGRAM="$dir/bin/tunesafe" TUNESAFE_BIN="$dir/bin" \
			TUNESAFE_TIER="$tier" TUNESAFE_REQUIRE_TOOLS=1 TUNESAFE_SEED="${TUNESAFE_SEED-}" \
			./run -test.v=test2json -test.timeout="$limit" -test.parallel 4 -test.run "$2" </dev/null 2>&1 || true
	} | go tool test2json -t -p "$module/$1" | as "$another"
}

if [ "$tier" != e2e ]; then
	say "gofmt and go vet"
	make --no-print-directory vet
	say "tests, as $(id -un)"
	if race; then
		suite "race detector" -race -p 3 "${units[@]}" # one of three waits, for a disk or a server
	else
		suite "$(id -un)" "${units[@]}"
	fi
	# Much of this waits for disks and servers, so that it goes side by side.
	say "the rest of them, and part of it again, as $another"
	(other_user) &
	others_pid=$!
	steps_pid=
	if race; then
		suite "$(id -un)" -run "^($(step_by_step))\$" "${stepping[@]}" & # what it left out
		steps_pid=$!
	fi
	suite "$(id -un)" "${others[@]}"
	wait "$others_pid" || fail
	[ -z "$steps_pid" ] || wait "$steps_pid"
fi
wait "$tools_pid" || fail
say "shows: the program mounted, killed, cut off and played from"
# One at a time, as they look at how long things take; but what waits for a network
# that is away, or for a browser, leaves room for those that only mount and compare.
mapfile -t waiting < <(printf '%s\n' "${shows[@]}" | grep -x './tests/crash')
mapfile -t pages < <(printf '%s\n' "${shows[@]}" | grep -x './tests/web')
mapfile -t quiet < <(printf '%s\n' "${shows[@]}" | grep -Ex '\./tests/(agent|format|model|nights)')
mapfile -t beside < <(printf '%s\n' "${shows[@]}" | grep -Ex '\./tests/(budget|feed|home|nightly|power)')
mapfile -t alone < <(printf '%s\n' "${shows[@]}" | grep -Fvx -e "$(printf '%s\n' "${waiting[@]}" "${pages[@]}" "${quiet[@]}" "${beside[@]}")")
suite "$(id -un)" "${waiting[@]}" &
suite "$(id -un)" "${pages[@]}" &
suite "$(id -un)" -p 1 "${quiet[@]}" &
suite "$(id -un)" -p 1 "${beside[@]}"
wait
suite "$(id -un)" -p 1 "${alone[@]}"

say "done"
"$out/summary" -total "$results" >"$out/verdict" || fail
cat "$out/verdict"
[ -e "$out/failed" ] || exit 0
if grep -q ', 0 failed$' "$out/verdict"; then
	echo "error: a run ended in disorder, see above" >&2
fi
exit 1
