// Package tools lets tests use real programs on a real tree: it finds the
// taggers and players a test needs, edits and reads tags as they do, and
// compares trees to the last attribute.
//
// Everything here goes by ordinary paths, so it works on a mounted drive that
// another process serves as it does on a folder.
//
// Three variables steer the tests. TUNESAFE_TIER chooses how much is done (see
// [Tier]), TUNESAFE_SEED repeats a random run (see [Seed]), and
// TUNESAFE_REQUIRE_TOOLS=1 makes a missing program a failure (see [Need]).
package tools

import (
	"os"
	"os/exec"
	"sync"
	"testing"
)

// python is Debian's, for which python3-mutagen is packaged; another one that
// comes first in PATH would not find it.
const python = "/usr/bin/python3"

// Python modules in the arguments of [Need], which gives the interpreter for them.
const (
	Mutagen = "mutagen"
	Taglib  = "taglib"
)

// packages names the Debian package of each tool that is not called like it.
var packages = map[string]string{
	Mutagen:         "python3-mutagen",
	Taglib:          "python3-taglib",
	"AtomicParsley": "atomicparsley",
	"exiftool":      "libimage-exiftool-perl",
	"eyeD3":         "eyed3",
	"ffprobe":       "ffmpeg",
	"fusermount3":   "fuse3",
	"ip":            "iproute2",
	"tc":            "iproute2",
	"unshare":       "util-linux",
	"getfattr":      "attr",
	"metaflac":      "flac",
	"node":          "nodejs",
	"mkfs.ext4":     "e2fsprogs",
	"mkvmerge":      "mkvtoolnix",
	"mkvpropedit":   "mkvtoolnix",
	"mpcenc":        "musepack-tools",
	"oggenc":        "vorbis-tools",
	"opusenc":       "opus-tools",
	"qemu-x86_64":   "qemu-user",
	"opusinfo":      "opus-tools",
	"setfattr":      "attr",
	"smbd":          "samba",
	"umount":        "mount",
	"zbarimg":       "zbar-tools",
	"vorbiscomment": "vorbis-tools",
}

// Need returns the paths of the tools, in their order. If one is missing it
// skips the test, with the name of the Debian package to install, or fails it
// if TUNESAFE_REQUIRE_TOOLS is 1.
func Need(t testing.TB, names ...string) []string {
	t.Helper()
	paths := make([]string, len(names))
	for i, name := range names {
		path, err := find(name)
		if err != nil {
			pkg := packages[name]
			if pkg == "" {
				pkg = name
			}
			lacks(t, "needs %s (Debian: apt install %s): %v", name, pkg, err)
		}
		paths[i] = path
	}
	return paths
}

// NeedFile is [Need] for a file that a command of the project fetches.
func NeedFile(t testing.TB, path, command string) {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		lacks(t, "needs %s: %v", command, err)
	}
}

func lacks(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("TUNESAFE_REQUIRE_TOOLS") == "1" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

func find(name string) (string, error) {
	switch name {
	case Mutagen:
		return python, hasMutagen()
	case Taglib:
		return python, exec.Command(python, "-c", "import taglib").Run()
	}
	return exec.LookPath(name)
}

var hasMutagen = sync.OnceValue(func() error {
	return exec.Command(python, "-c", "import mutagen").Run()
})
