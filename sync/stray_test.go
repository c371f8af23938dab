package sync

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// TestUnsavedSurvivesHistory: the databases of a home are lost while it holds
// what was never uploaded. The bucket tells several states of that file one
// after the other, or that it was removed; none of them may take away the bytes.
func TestUnsavedSurvivesHistory(t *testing.T) {
	tools.StepByStep(t)
	for name, before := range map[string]func(d *device){
		"changed": func(d *device) { d.write("song", []byte("a later text")) },
		"removed": func(d *device) {
			if err := d.cache.Unlink(cache.Root, "song"); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			d := w.device("one")
			ino := d.write("song", []byte("the first text"))
			d.wait()
			other := w.device("other")
			before(other)
			other.wait()
			d.hold()
			d.write("song", []byte("never uploaded"))
			d.close()
			for _, pattern := range []string{"index*", "namespace*"} {
				found, err := filepath.Glob(filepath.Join(d.dir, pattern))
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range found {
					os.Remove(p)
				}
			}
			d.enrol = w.enroller(d)
			d.assemble(w.st)
			defer d.closeFiles()
			if _, err := d.w.Pull(context.Background()); err != nil {
				t.Fatal(err)
			}
			found, err := d.w.Recover(context.Background(), nil)
			if err != nil || len(found) != 1 {
				t.Fatalf("of inode %x %q was found: %v", ino, found, err)
			}
			d.mustRead(found[0], "never uploaded")
		})
	}
}

func (d *device) mustRead(name, want string) {
	d.t.Helper()
	if got := d.read(name); string(got) != want {
		d.t.Errorf("%s holds %q, want %q", name, got, want)
	}
}
