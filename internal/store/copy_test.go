package store_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/tunesafe/tunesafe/internal/store"
	"github.com/tunesafe/tunesafe/internal/store/mem"
)

// named puts an object whose name tells its bytes.
func named(t *testing.T, st store.Store, body string) string {
	t.Helper()
	sum := sha256.Sum256([]byte(body))
	name := hex.EncodeToString(sum[:])
	name = "meta/" + name[:2] + "/" + name + ".age"
	if err := st.Put(t.Context(), name, []byte(body)); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestCopyGoesOn cuts a copy short after each object: what follows sends only
// the rest, and the object that makes a repository of them comes last.
func TestCopyGoesOn(t *testing.T) {
	ctx := t.Context()
	from := mem.New()
	for i := range 6 {
		named(t, from, fmt.Sprint("object ", i))
	}
	for _, key := range []string{"keys/recovery.age", "repo.json"} {
		if err := from.Put(ctx, key, []byte(key)); err != nil {
			t.Fatal(err)
		}
	}
	never := func(string) bool { return false }
	for cut := range 8 {
		to := mem.New()
		left := &failing{Store: to, puts: cut}
		if _, err := store.Copy(ctx, left, from, never, "repo.json", nil); !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("cut after %d: %v", cut, err)
		}
		if _, err := to.Stat(ctx, "repo.json"); !errors.Is(err, store.ErrNotExist) {
			t.Errorf("cut after %d there is a repository: %v", cut, err)
		}
		there := int64(0)
		for range to.List(ctx, "", "") {
			there++
		}
		done, err := store.Copy(ctx, to, from, never, "repo.json", nil)
		if err != nil || done.Objects != 8-there || done.There != there {
			t.Errorf("cut after %d, %d were there: %+v, %v", cut, there, done, err)
		}
		if d, err := store.Compare(ctx, to, from); err != nil || len(d.Missing)+len(d.Resized)+len(d.Changed)+len(d.More) > 0 {
			t.Errorf("cut after %d: %+v, %v", cut, d, err)
		}
	}
}

// failing takes so many objects and then no more.
type failing struct {
	store.Store
	mu   sync.Mutex
	puts int
}

func (f *failing) Put(ctx context.Context, key string, body []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.puts--; f.puts < 0 {
		return store.ErrUnavailable
	}
	return f.Store.Put(ctx, key, body)
}

func TestCopyRefusesDamage(t *testing.T) {
	ctx := t.Context()
	from, to := mem.New(), mem.New()
	name := named(t, from, "sound")
	if err := from.Put(ctx, name, []byte("noise")); err != nil {
		t.Fatal(err)
	}
	_, err := store.Copy(ctx, to, from, func(string) bool { return false }, "", nil)
	if !errors.Is(err, store.ErrDamaged) {
		t.Errorf("%v, want %v", err, store.ErrDamaged)
	}
}

// TestCompare names each way in which a copy is none; Copy mends all but what is
// to be kept.
func TestCompare(t *testing.T) {
	ctx := t.Context()
	from, to := mem.New(), mem.New()
	put := func(st store.Store, key, body string) {
		t.Helper()
		if err := st.Put(ctx, key, []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	put(from, "keys/a.age", "old")
	put(to, "keys/a.age", "new")
	put(from, "keys/b.age", "long")
	put(to, "keys/b.age", "l")
	put(from, "keys/c.age", "c")
	put(to, "keys/d.age", "d")
	d, err := store.Compare(ctx, to, from)
	if err != nil || !slices.Equal(d.Changed, []string{"keys/a.age"}) || !slices.Equal(d.Resized, []string{"keys/b.age"}) ||
		!slices.Equal(d.Missing, []string{"keys/c.age"}) || !slices.Equal(d.More, []string{"keys/d.age"}) {
		t.Fatalf("%+v, %v", d, err)
	}
	keep := func(key string) bool { return key == "keys/a.age" }
	if done, err := store.Copy(ctx, to, from, keep, "", nil); err != nil || done.Objects != 2 {
		t.Fatal(done, err)
	}
	if d, err = store.Compare(ctx, to, from); err != nil || len(d.Changed) != 1 || len(d.Resized)+len(d.Missing) > 0 {
		t.Fatalf("%+v, %v", d, err)
	}
}
