package sync

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	gosync "sync"
	"testing"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/store"
)

// TestRemovedWhileSent: a commit reaches the bucket, its acknowledgement does
// not come, and what it names is removed or renamed before the program dies. The
// next start must not take its own commit for news: here and in the bucket it
// stays removed.
func TestRemovedWhileSent(t *testing.T) {
	w := newWorld(t)
	d := w.device("one")
	d.close()
	d.assemble(w.mem)
	for _, n := range []string{"removed", "renamed"} {
		if _, err := d.cache.Mkdir(cache.Root, n, 0o755, cache.Owner{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.cache.Symlink(cache.Root, "unlinked", "target", cache.Owner{}); err != nil {
		t.Fatal(err)
	}
	d.closeFiles()

	f := &faulty{Store: w.mem}
	sent := make(chan struct{})
	var once gosync.Once
	f.after = func(key string) error {
		if !strings.HasPrefix(key, "log/") {
			return nil
		}
		once.Do(func() { close(sent) })
		return store.ErrUnavailable
	}
	d.open(f)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { _ = d.w.Wait(ctx) }() // so that it is sent at once
	<-sent
	w.mustName("the bucket has the commit", "removed", "renamed", "unlinked")
	if err := d.cache.Rmdir(cache.Root, "removed"); err != nil {
		t.Fatal(err)
	}
	if err := d.cache.Unlink(cache.Root, "unlinked"); err != nil {
		t.Fatal(err)
	}
	if err := d.cache.Rename(cache.Root, "renamed", cache.Root, "renamed by now", cache.RenameFlags{}); err != nil {
		t.Fatal(err)
	}
	cancel()
	d.close()

	d.open(w.st)
	d.mustName("after the start", "renamed by now")
	d.wait()
	d.mustName("once all is safe", "renamed by now")
	w.mustName("from the bucket alone", "renamed by now")
}

// mustName compares the names in the top directory.
func (d *device) mustName(when string, names ...string) {
	d.t.Helper()
	list, err := d.cache.ReadDir(cache.Root)
	if err != nil {
		d.t.Fatal(err)
	}
	var found []string
	for _, e := range list {
		found = append(found, e.Name)
	}
	if !slices.Equal(found, names) {
		d.t.Errorf("%s: %q are there, not %q", when, found, names)
	}
}

// mustName is mustName of a cold device.
func (w *world) mustName(when string, names ...string) {
	w.t.Helper()
	d := w.device("cold")
	d.mustName(when, names...)
	d.close()
}

// TestAnyNameWhileSent: a commit of names that are no UTF-8 reaches the bucket, and
// its acknowledgement does not come. What was kept of it here is read as it was
// written: were it taken for damaged, the bucket would be ahead of this home, and
// the home a copy of itself.
func TestAnyNameWhileSent(t *testing.T) {
	w := newWorld(t)
	d := w.device("one")
	d.close()
	f := &faulty{Store: w.mem}
	var once gosync.Once
	f.after = func(key string) (err error) {
		if strings.HasPrefix(key, "log/") {
			once.Do(func() { err = store.ErrUnavailable })
		}
		return err
	}
	d.open(f)
	files := map[string][]byte{"Bj\xf6rk": []byte("latin"), "\xff\xfe": []byte("nothing at all")}
	for name, p := range files {
		d.write(name, p)
	}
	d.wait()
	w.sameAs(files)
	if aside, _ := filepath.Glob(filepath.Join(d.dir, "*damaged*")); len(aside) > 0 {
		t.Errorf("put aside: %q", aside)
	}
}
