package split_test

import (
	"path/filepath"
	"strconv"
	"testing"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// seeds are the small real files in testdata, by name.
func seeds(t testing.TB) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob("testdata/small/*")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no seeds in testdata/small (%v)", err)
	}
	m := map[string][]byte{}
	for _, p := range paths {
		m[filepath.Base(p)] = read(t, p)
	}
	return m
}
