package fs

import (
	"maps"
	"slices"
	"testing"

	"github.com/hanwen/go-fuse/v2/posixtest"
)

// exceptions are the tests of go-fuse's conformance suite that the drive does
// not pass, with the reason.
var exceptions = map[string]string{
	"FcntlFlockLocksFile": "wants two locks of one process to conflict, as they do where a server keeps them; " +
		"here the kernel keeps them, and by POSIX they do not",
	"RenameOpenDir": "asks fstat of an open directory that was replaced; a directory without a name is gone (go-fuse issue 55)",
	"Tmpfile":       "wants O_TMPFILE, which is not offered",
}

func TestPosix(t *testing.T) {
	inBoth(t, func(t *testing.T, dir string) {
		for _, name := range slices.Sorted(maps.Keys(posixtest.All)) {
			if why, ok := exceptions[name]; ok {
				t.Logf("%s is left out: it %s", name, why)
				continue
			}
			t.Run(name, func(t *testing.T) {
				posixtest.All[name](t, subdir(t, dir, name))
			})
		}
	})
}
