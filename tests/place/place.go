// Package place compares a folder that is backed up with what came back of it.
package place

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/tunesafe/tunesafe/sync/library"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// Same compares a place that was restored with the folder that feeds it, by
// [tools.SameTree]. It takes away first what a backup makes of a library file and
// no folder has.
func Same(t testing.TB, folder, restored string) {
	t.Helper()
	info, err := os.Stat(restored)
	if err == nil {
		err = errors.Join(os.RemoveAll(filepath.Join(restored, library.Folder)), os.Chtimes(restored, info.ModTime(), info.ModTime()))
	}
	if err != nil {
		t.Fatal(err)
	}
	tools.SameTree(t, folder, restored)
}
