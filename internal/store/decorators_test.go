package store_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tunesafe/tunesafe/internal/store"
	"github.com/tunesafe/tunesafe/internal/store/mem"
	"github.com/tunesafe/tunesafe/internal/store/storetest"
)

func TestConformance(t *testing.T) {
	t.Run("Count", func(t *testing.T) {
		storetest.Run(t, func(*testing.T) store.Store { return store.Count(mem.New()) })
	})
	t.Run("Limit", func(t *testing.T) {
		storetest.Run(t, func(*testing.T) store.Store { return store.Limit(mem.New(), 0, 1<<40) })
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

func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := store.Limit(mem.New(), 1<<20, 2<<20)
		body := make([]byte, 10<<20)
		expectTook(t, 10*time.Second, func() error { return l.Put(t.Context(), "a", body) })
		expectTook(t, 5*time.Second, func() error { return readAll(t.Context(), l) })
		l.SetRates(0, 0)
		expectTook(t, 0, func() error { return l.Put(t.Context(), "a", body) })
		expectTook(t, 0, func() error { return readAll(t.Context(), l) })
	})
}

func TestLimitCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := store.Limit(mem.New(), 1, 1)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		err := l.Put(ctx, "a", make([]byte, 1<<20))
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

func readAll(ctx context.Context, s store.Store) error {
	r, err := s.Get(ctx, "a", 0, -1)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r)
	return errors.Join(err, r.Close())
}

// expectTook allows for the burst that a limiter lets pass at once.
func expectTook(t *testing.T, want time.Duration, f func() error) {
	t.Helper()
	begun := time.Now()
	if err := f(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begun); took > want || took < want-100*time.Millisecond {
		t.Errorf("took %v, want %v", took, want)
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
