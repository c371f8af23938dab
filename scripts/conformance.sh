#!/usr/bin/env bash
# Runs pjdfstest, the public suite of POSIX's rules for filesystems, on a drive:
#
#   PJDFSTEST_DIR=… scripts/conformance.sh
#
# PJDFSTEST_DIR is a built checkout of https://github.com/pjd/pjdfstest (autoreconf
# -ifs; ./configure; make). The suite changes users, so it runs as root. It runs
# twice: with the kernel reading and writing by itself (passthrough), and with all
# requests passing through Tunesafe. TESTS names part of it, such as "rename open".
# Everything is made in a temporary folder and removed at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
die() {
	echo "error: $1" >&2
	[ -z "${2-}" ] || echo "hint: $2" >&2
	exit 2
}

suite=${PJDFSTEST_DIR-}
[ -n "$suite" ] || die "PJDFSTEST_DIR is not set" "make conformance PJDFSTEST_DIR=DIR, where DIR is a built checkout of https://github.com/pjd/pjdfstest"
[ -d "$suite/tests" ] || die "PJDFSTEST_DIR=$suite holds no folder tests" "give the root of a checkout of https://github.com/pjd/pjdfstest"
suite=$(cd "$suite" && pwd)
[ -x "$suite/pjdfstest" ] || die "$suite/pjdfstest is not built" "run autoreconf -ifs, ./configure and make in $suite"
[ "$(id -u)" = 0 ] || die "the suite changes users and needs root" "sudo make conformance PJDFSTEST_DIR=$suite"
command -v prove >/dev/null || die "the program prove is missing" "install perl"

make --no-print-directory build
base=$(mktemp -d "${TMPDIR:-/tmp}/tunesafe-conformance.XXXXXX")
chmod 755 "$base" # other users go through it
drive=$base/drive
end() {
	if mountpoint -q "$drive"; then bin/tunesafe unmount --home "$base/home" "$drive" || umount -l "$drive"; fi
	rm -rf "$base"
}
trap end EXIT

what=("$suite/tests")
if [ -n "${TESTS-}" ]; then
	what=()
	for t in $TESTS; do what+=("$suite/tests/$t"); done
fi
failed=0
bin/tunesafe init --home "$base/home" --store-dir "$base/store" >/dev/null
mkdir "$drive"
# run NAME FLAGS…: mounts with the flags and runs the suite.
run() {
	local name=$1 log=$base/$1.log
	shift
	bin/tunesafe mount --home "$base/home" --allow-other "$@" "$drive" >/dev/null
	mkdir "$drive/$name"
	chmod 755 "$drive" "$drive/$name"
	(cd "$drive/$name" && prove -r -v "${what[@]}") >"$log" 2>&1 || true
	bin/tunesafe unmount --home "$base/home" "$drive" >/dev/null
	awk -v name="$name" '
		/^\/[^ ]+ \.\.+ *$/ { file = $1 }
		/^ok / { total++; passed++ }
		/^not ok / { total++; if (/# TODO/) passed++; else bad[++n] = file ": " $0 }
		/^Result: / { result = $2 }
		END {
			printf "%s: %d of %d passed\n", name, passed, total
			for (i = 1; i <= n; i++) print "    " bad[i]
			exit !(total > 0 && n == 0 && result == "PASS")
		}' "$log" || { failed=1; sed -n '/^Test Summary Report/,$p' "$log"; }
}
run passthrough
run ordinary --no-passthrough
exit "$failed"
