package feed

import (
	"os"
	"strings"
	"testing"
)

// TestDeep backs up a file whose path is longer than the kernel takes at once.
func TestDeep(t *testing.T) {
	r := newRig(t)
	at, err := os.OpenRoot(r.dir)
	must(t, err)
	for range 25 {
		name := strings.Repeat("d", 200)
		must(t, at.Mkdir(name, 0o755))
		below, err := at.OpenRoot(name)
		must(t, err)
		must(t, at.Close())
		at = below
	}
	must(t, at.WriteFile("deep", []byte("deep"), 0o644))
	must(t, at.Close())
	if w := words(r.backup()); w != "1 new" {
		t.Error(w)
	}
	if w := words(r.backup()); w != "1 unchanged" {
		t.Error(w)
	}
}
