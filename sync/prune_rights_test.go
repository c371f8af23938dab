package sync

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/store"
)

// appendOnly is a store whose credentials may not delete.
type appendOnly struct{ store.Store }

func (s appendOnly) Delete(_ context.Context, key string) error {
	return fmt.Errorf("delete %s: %w", key, store.ErrDenied)
}

// TestPruneWithoutTheRight: where the store lets nothing be deleted, prune says what it
// could not delete, and one with the right deletes it later.
func TestPruneWithoutTheRight(t *testing.T) {
	w := newWorld(t)
	n := newPruning(t, w, "one")
	n.assemble(appendOnly{w.mem})
	n.files["goes"] = tagged(n.rng, 400_000) // alone in an object
	n.write("goes", n.files["goes"])
	n.night(t, 6)
	if err := n.cache.Unlink(cache.Root, "goes"); err != nil && !errors.Is(err, cache.ErrNotExist) {
		t.Fatal(err)
	}
	delete(n.files, "goes")
	for range 3 {
		n.night(t, 6)
	}
	before := len(objectsIn(t, w.mem))
	p, err := n.prune(t, keepLast(1))
	if err != nil || p.Denied == 0 || p.Denied != p.Condemned || p.Kept != p.Denied || !errors.Is(p.DeniedBy, store.ErrDenied) {
		t.Fatalf("%+v, %v", p, err)
	}
	if n := len(objectsIn(t, w.mem)); n < before {
		t.Error("objects are gone")
	}
	bucketIsWhole(t, w.mem, n.keys, n.past)
	n.closeFiles()
	n.assemble(w.mem)
	defer n.closeFiles()
	again, err := n.prune(t, keepLast(1))
	if err != nil || again.Deleted != p.Denied || again.Kept+again.Denied > 0 {
		t.Fatalf("with the right: %+v, %v", again, err)
	}
	bucketIsWhole(t, w.mem, n.keys, n.past)
}
