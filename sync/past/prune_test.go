package past

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/retain"
	tsync "github.com/tunesafe/tunesafe/sync"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// TestPrunedByAPrune: a prune took the sound of a moment that is still shown. To read it, or
// to restore it, is an error that says so, and no byte of it is made up; the rest of the moment is
// restored.
func TestPrunedByAPrune(t *testing.T) {
	u := newUndoing(t, uint64(tools.Seed(t)))
	long := make([]byte, 600_000)
	for i := range long {
		long[i] = byte(u.rng.Uint32())
	}
	u.write(cache.Root, "gone.bin", string(long))
	u.write(cache.Root, "stays.bin", "stays"+string(long[:300_000]))
	then := u.safe()
	if err := u.c.Unlink(cache.Root, "gone.bin"); err != nil {
		t.Fatal(err)
	}
	u.safe()
	tree := u.p.Tree(then)
	a, err := tree.Lookup(cache.Root, "gone.bin")
	if err != nil {
		t.Fatal(err)
	}
	before, err := tree.Open(t.Context(), a.Ino)
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	if n, err := before.ReadAt(t.Context(), make([]byte, 1000), 100); err != nil || n != 1000 {
		t.Fatal(n, err)
	}
	shown, err := u.p.Moments(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	u.later.Store(int64(50 * time.Hour))
	db, err := u.p.CatchUp(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := u.w.Prune(t.Context(), tsync.PruneOptions{Keep: tsync.Keep{Sound: retain.Span{Days: 1}}, History: db})
	if err != nil || p.Deleted == 0 || p.Forgotten > 0 {
		t.Fatalf("%+v, %v", p, err)
	}
	moments, err := u.p.Moments(t.Context())
	if err != nil || len(moments) != len(shown) {
		t.Errorf("%d moments are shown, not %d: %v", len(moments), len(shown), err)
	}
	after, err := tree.Open(t.Context(), a.Ino)
	if err != nil {
		t.Fatal(err)
	}
	defer after.Close()
	got := make([]byte, 1000)
	if n, err := after.ReadAt(t.Context(), got, 400_000); n > 0 || !errors.Is(err, ErrPruned) {
		t.Errorf("read %d bytes, %v", n, err)
	}
	// Who had it open may have all of it.
	if n, err := before.ReadAt(t.Context(), got, 400_000); err == nil && !bytes.Equal(got[:n], long[400_000:400_000+n]) || err != nil && !errors.Is(err, ErrPruned) {
		t.Errorf("open since before: read %d bytes, %v", n, err)
	}
	dest := filepath.Join(t.TempDir(), "back")
	err = tsync.Restore(t.Context(), tree, []string{"/"}, dest, func(tsync.RestoreProgress) {})
	if !errors.Is(err, ErrPruned) {
		t.Errorf("restoring says %v", err)
	}
	if _, err := os.Stat(filepath.Join(dest, "gone.bin")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something stands for what was pruned: %v", err)
	}
	if got, err := os.ReadFile(filepath.Join(dest, "stays.bin")); err != nil || string(got) != "stays"+string(long[:300_000]) {
		t.Errorf("what stayed: %d bytes, %v", len(got), err)
	}
}
