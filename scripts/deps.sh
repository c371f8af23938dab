#!/bin/sh
# Installs the Debian packages that a purpose needs and this machine lacks:
#
#   scripts/deps.sh run     what "make run" starts
#   scripts/deps.sh test    what the tests start
#   scripts/deps.sh e2e     what the shows with other programs start beside
#   scripts/deps.sh bench   what "make bench" compares with
#
# Does nothing, quickly, where all is there. It needs root or sudo otherwise.
set -eu

run='fuse3 ffmpeg lame python3-mutagen'
test="$run acl age atomicparsley attr chromium curl dbus-daemon e2fsprogs eyed3 flac fonts-wqy-microhei gcc id3v2 iproute2 kid3-cli libarchive-tools libc6-dev libimage-exiftool-perl mkvtoolnix mount mpc mpd
	musepack-tools opus-tools python3 qemu-user restic rsync s3cmd strace unzip util-linux vorbis-tools wavpack zbar-tools zstd"
command -v npm >/dev/null || test="$test npm" # other packages of Node.js have it, too
e2e="$test python3-taglib samba samba-vfs-modules smbclient"
bench="$run rclone restic s3fs"
case ${1-} in
run) wanted=$run ;;
test) wanted=$test ;;
e2e) wanted=$e2e ;;
bench) wanted=$bench ;;
*) echo "usage: scripts/deps.sh run|test|e2e|bench" >&2; exit 2 ;;
esac

as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"
	elif command -v sudo >/dev/null; then sudo "$@"
	else
		echo "error: needs root, or sudo, for: $*" >&2
		return 1
	fi
}

install_missing() {
	if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
		echo "hint: this is no Debian or Ubuntu; see to it that there are: $(echo $wanted)" >&2
		return
	fi
	missing=
	for p in $wanted; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing="$missing $p"
	done
	[ -n "$missing" ] || return 0
	echo "installing$missing"
	# Where the lists of packages are young, they need not be fetched again.
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing </dev/null ||
		{
			as_root apt-get update -q </dev/null
			as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing </dev/null
		}
	case $missing in # the tests start their own; nobody asked for one that serves this machine
	*" samba"*) as_root systemctl disable --now smbd nmbd 2>/dev/null || true ;;
	esac
}

# The rule that comes with fuse3 opens /dev/fuse to all users; where no udev
# runs, as in containers, nobody carries it out.
open_fuse() {
	[ "$(uname)" = Linux ] || return 0
	if [ ! -e /dev/fuse ]; then
		as_root modprobe fuse 2>/dev/null || true
		[ -e /dev/fuse ] || as_root mknod -m 666 /dev/fuse c 10 229
	fi
	case $(stat -c %a /dev/fuse) in
	*[67]) ;;
	*) echo "opening /dev/fuse to all users, as fuse3 does where udev runs"; as_root chmod 666 /dev/fuse ;;
	esac
}

# fusermount3 -u reads and writes the mount table under its old name.
link_mtab() { [ -e /etc/mtab ] || as_root ln -s /proc/self/mounts /etc/mtab; }

install_missing
open_fuse
link_mtab
