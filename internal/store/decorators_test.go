package store_test

import (
	"io"
	"testing"

	"github.com/tunesafe/tunesafe/internal/store"
	"github.com/tunesafe/tunesafe/internal/store/mem"
	"github.com/tunesafe/tunesafe/internal/store/storetest"
)

func TestConformance(t *testing.T) {
	t.Run("Count", func(t *testing.T) {
		storetest.Run(t, func(*testing.T) store.Store { return store.Count(mem.New()) })
	})
}

func TestCounts(t *testing.T) {
	ctx := t.Context()
	c := store.Count(mem.New())
	for _, key := range []string{"a", "b", "NOT A KEY"} {
		if err := c.Put(ctx, key, make([]byte, 100)); (err == nil) != (len(key) == 1) {
			t.Error(key, err)
		}
	}
	r, err := c.Get(ctx, "a", 90, -1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		t.Error(err)
	}
	for _, err := range c.List(ctx, "", "") {
		if err != nil {
			t.Error(err)
		}
	}
	if _, err := c.Stat(ctx, "absent"); err == nil {
		t.Error("an absent object has a stat")
	}
	if err := c.Delete(ctx, "a"); err != nil {
		t.Error(err)
	}
	want := store.Counts{
		Puts: 3, Gets: 1, Lists: 1, Stats: 1, Deletes: 1,
		UploadedObjects: 2, UploadedBytes: 200, DownloadedBytes: 10,
	}
	if got := c.Counts(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func FuzzCheckKey(f *testing.F) {
	for _, key := range []string{"a", "a/b", "", "a//b", "..", "a/.", "A", "ÿ", "a-b_c.0"} {
		f.Add(key)
	}
	s := mem.New()
	f.Fuzz(func(t *testing.T, key string) {
		err := store.CheckKey(key)
		if (s.Put(t.Context(), key, nil) == nil) != (err == nil) {
			t.Errorf("%q: a store and CheckKey disagree", key)
		}
	})
}
