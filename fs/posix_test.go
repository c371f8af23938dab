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
	"FcntlFlockLocksFile": "wants two locks of one process to conflict, which by POSIX they do not; it fails on ext4 too. " +
		"TestLocks asks the same of two processes",
}

func TestPosix(t *testing.T) {
	inBoth(t, func(t *testing.T, dir string) {
		for _, name := range slices.Sorted(maps.Keys(posixtest.All)) {
			if why, ok := exceptions[name]; ok {
				t.Logf("%s is left out: it %s", name, why)
				continue
			}
			t.Run(name, func(t *testing.T) {
				t.Cleanup(func() {
					if t.Skipped() {
						t.Error("skipped: what it asks for is not there")
					}
				})
				posixtest.All[name](t, subdir(t, dir, name))
			})
		}
	})
}
