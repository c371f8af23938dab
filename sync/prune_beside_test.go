package sync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/store"
)

// TestPruneBesideAnother: what one device condemned is not deleted before the other has
// heard, and not at all if that used it meanwhile.
func TestPruneBesideAnother(t *testing.T) {
	w := newWorld(t)
	one := newPruning(t, w, "one")
	one.assemble(w.mem)
	defer func() { one.closeFiles() }()
	song, other := tagged(one.rng, 400_000), tagged(one.rng, 400_000)
	one.write("song", song)
	one.write("other", other)
	if err := one.backup(); err != nil {
		t.Fatal(err)
	}
	two := newPruning(t, w, "two")
	two.assemble(w.mem)
	defer func() { two.closeFiles() }()
	if _, err := two.w.Pull(t.Context()); err != nil {
		t.Fatal(err)
	}
	one.files["last"] = tagged(one.rng, 1000)
	for _, name := range []string{"song", "other"} {
		if err := one.cache.Unlink(cache.Root, name); err != nil {
			t.Fatal(err)
		}
	}
	one.write("last", one.files["last"])
	if err := one.backup(); err != nil {
		t.Fatal(err)
	}
	p, err := one.prune(t, keepLast(1))
	if err != nil || p.Condemned < 2 || p.Deleted > 0 || len(p.WaitsFor) != 1 || p.WaitsFor[0].Name != "two" {
		t.Fatalf("%+v, %v: want nothing deleted before the other heard", p, err)
	}
	if p, err = one.prune(t, keepLast(1)); err != nil || p.Deleted > 0 || p.Kept < 2 {
		t.Fatalf("again: %+v, %v", p, err)
	}
	// The other uses the sound of a song that it believes to be there.
	two.files["copy"] = song
	two.write("copy", song)
	if err := two.backup(); err != nil {
		t.Fatal(err)
	}
	if p, err = one.prune(t, keepLast(1)); err != nil || p.Deleted > 0 || p.TakenBack < 1 {
		t.Fatalf("after it used one: %+v, %v", p, err)
	}
	two.closeFiles()
	two.assemble(w.mem)
	if _, err := two.w.Pull(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := two.backup(); err != nil { // nothing waits, but that it heard
		t.Fatal(err)
	}
	if p, err = one.prune(t, keepLast(1)); err != nil || p.Deleted < 1 || len(p.WaitsFor) > 0 {
		t.Fatalf("after it heard: %+v, %v", p, err)
	}
	bucketIsWhole(t, w.mem, one.keys, nil)
	cold := newPruning(t, w, "cold")
	cold.assemble(w.mem)
	defer cold.closeFiles()
	if _, err := cold.w.Pull(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(cold.read("copy"), song) {
		t.Error("the copy has other bytes")
	}
}

// TestPruneBesideAStranger: the certificate of another device is damaged, or gone. What it
// uses is not known then, and nothing is condemned.
func TestPruneBesideAStranger(t *testing.T) {
	for name, strike := range map[string]func(st store.Store, key string, cert []byte) error{
		"flipped": func(st store.Store, key string, cert []byte) error {
			cert[len(cert)/2] ^= 1
			return st.Put(context.Background(), key, cert)
		},
		"deleted": func(st store.Store, key string, _ []byte) error { return st.Delete(context.Background(), key) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			one, two := newPruning(t, w, "one"), newPruning(t, w, "two")
			one.assemble(w.mem)
			defer one.closeFiles()
			two.assemble(w.mem)
			defer two.closeFiles()
			for i, d := range []*pruning{one, two} {
				d.write(fmt.Sprint("song ", i), tagged(d.rng, 400_000))
				if err := d.backup(); err != nil {
					t.Fatal(err)
				}
			}
			key := "devices/" + two.dev.ID + ".age"
			r, err := w.mem.Get(t.Context(), key, 0, -1)
			if err != nil {
				t.Fatal(err)
			}
			cert, err := io.ReadAll(r)
			if err := errors.Join(err, r.Close(), strike(w.mem, key, cert)); err != nil {
				t.Fatal(err)
			}
			before := len(objectsIn(t, w.mem))
			if p, err := one.prune(t, keepLast(1)); !errors.Is(err, ErrStranger) || p.Deleted+p.Condemned > 0 {
				t.Errorf("%+v, %v; want %v", p, err, ErrStranger)
			}
			if n := len(objectsIn(t, w.mem)); n != before {
				t.Errorf("%d objects, then %d", before, n)
			}
		})
	}
}

// TestPruneAsAnotherEnrols: another device comes while a prune runs. It reads the log
// before that says what is condemned, and uses it: nothing is deleted before it heard.
func TestPruneAsAnotherEnrols(t *testing.T) {
	w := newWorld(t)
	f := &faulty{Store: w.mem}
	one := newPruning(t, w, "one")
	one.assemble(f)
	defer one.closeFiles()
	song := tagged(one.rng, 400_000)
	one.write("song", song)
	if err := one.backup(); err != nil {
		t.Fatal(err)
	}
	if err := one.cache.Unlink(cache.Root, "song"); err != nil {
		t.Fatal(err)
	}
	if err := one.backup(); err != nil {
		t.Fatal(err)
	}
	var two *pruning
	f.before = func(key string) error {
		if two == nil && strings.HasPrefix(key, "log/") {
			two = newPruning(t, w, "two")
			two.assemble(w.mem)
			_, err := two.w.Pull(context.Background())
			return err
		}
		return nil
	}
	p, err := one.prune(t, keepLast(1))
	if err != nil || two == nil {
		t.Fatalf("%+v, %v", p, err)
	}
	defer two.closeFiles()
	if p.Condemned < 1 || p.Deleted > 0 || len(p.WaitsFor) != 1 {
		t.Errorf("%+v: want nothing deleted before the other heard", p)
	}
	two.files["copy"] = song
	two.write("copy", song)
	if err := two.backup(); err != nil {
		t.Fatal(err)
	}
	if p, err = one.prune(t, keepLast(1)); err != nil || p.TakenBack < 1 {
		t.Errorf("after it used it: %+v, %v", p, err)
	}
	bucketIsWhole(t, w.mem, one.keys, nil)
}
