#!/bin/sh
# Takes the drive of scripts/run.sh away. What is on it stays, below build/run.
set -eu
cd "$(dirname "$0")/.."
if mountpoint -q build/run/drive 2>/dev/null || stat build/run/drive 2>&1 | grep -q 'not connected'; then
	bin/tunesafe --home build/run/home unmount build/run/drive
fi
