package storetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/store"
)

// Bucket is a bucket that keeps versions, as [RunVersions] is given it.
type Bucket struct {
	Store store.Store
	// Hide deletes an object as somebody does who knows of no versions.
	Hide func(ctx context.Context, key string) error
	// Pass lets time pass until a date.
	Pass func(until time.Time)
}

// LockedFor is how long what is written is locked in a bucket of [RunVersions] that
// locks. It must be long enough for some requests, and somebody may have to wait.
const LockedFor = 8 * time.Second

// RunVersions holds stores to [store.Versioned]. Each call of open gives an empty one;
// one that locks does so for LockedFor.
func RunVersions(t *testing.T, open func(t *testing.T, lock bool) Bucket) {
	for _, c := range []struct {
		name string
		lock bool
		test func(t *testing.T, b Bucket, s store.Versioned)
	}{
		{"DeleteForGood", false, testDeleteForGood},
		{"HiddenTwice", false, testHiddenTwice},
		{"VersionPages", false, testVersionPages},
		{"Locked", true, testLocked},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // some wait
			b := open(t, c.lock)
			s, ok := store.AbleTo[store.Versioned](b.Store)
			if !ok {
				t.Fatal("knows no versions")
			}
			c.test(t, b, s)
		})
	}
}

// versions lists those of one key.
func versions(t *testing.T, s store.Versioned, key string) (of []store.Version) {
	t.Helper()
	for all, err := range s.Versions(t.Context(), key) {
		if err != nil {
			t.Fatal(err)
		}
		if all[0].Key == key {
			of = all
		}
	}
	return of
}

func expectVersion(t *testing.T, s store.Versioned, v store.Version, want []byte) {
	t.Helper()
	r, err := s.GetVersion(t.Context(), v.Key, v.ID)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil || !bytes.Equal(got, want) || v.Size != int64(len(want)) {
		t.Errorf("version %s of %s: %d bytes, listed with %d, want %d: %v", v.ID, v.Key, len(got), v.Size, len(want), err)
	}
}

func hide(t *testing.T, b Bucket, key string) {
	t.Helper()
	if err := b.Hide(t.Context(), key); err != nil {
		t.Fatal(err)
	}
}

func testDeleteForGood(t *testing.T, b Bucket, s store.Versioned) {
	put(t, b.Store, "a/object", body(1, 1000))
	put(t, b.Store, "a/object", body(2, 2000))
	put(t, b.Store, "a/object2", body(3, 10)) // begins with the name of the other
	all := versions(t, s, "a/object")
	if len(all) != 2 || !all[0].Latest || all[1].Latest {
		t.Fatalf("versions: %+v", all)
	}
	expectVersion(t, s, all[0], body(2, 2000))
	expectVersion(t, s, all[1], body(1, 1000))
	hide(t, b, "a/object")
	_, err := b.Store.Stat(t.Context(), "a/object")
	expectErr(t, "stat of what is hidden", err, store.ErrNotExist)
	for range 2 { // and once more, as a prune does that was cut short
		if err := b.Store.Delete(t.Context(), "a/object"); err != nil {
			t.Fatal(err)
		}
		if left := versions(t, s, "a/object"); len(left) > 0 {
			t.Fatalf("left of what was deleted: %+v", left)
		}
	}
	put(t, b.Store, "a/object3", body(3, 10))
	if err := b.Store.Delete(t.Context(), "a/object3"); err != nil {
		t.Fatal(err)
	}
	if left := versions(t, s, "a/object3"); len(left) > 0 {
		t.Fatalf("left of what was deleted: %+v", left)
	}
	expect(t, b.Store, "a/object2", 0, -1, body(3, 10))
}

// testHiddenTwice brings back what is below two delete markers, and below another's
// bytes.
func testHiddenTwice(t *testing.T, b Bucket, s store.Versioned) {
	want := body(1, 500)
	put(t, b.Store, "object", want)
	hide(t, b, "object")
	put(t, b.Store, "object", body(2, 300))
	hide(t, b, "object")
	hide(t, b, "object")
	for {
		all := versions(t, s, "object")
		if len(all) == 0 {
			t.Fatal("nothing is left")
		}
		if v := all[0]; !v.Gone && v.Size == 500 {
			break
		}
		if err := s.RemoveVersion(t.Context(), "object", all[0].ID); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, b.Store, "object", 0, -1, want)
	v := versions(t, s, "object")[0]
	is, err := s.StatVersion(t.Context(), "object", v.ID)
	if err != nil || is.Size != 500 || !is.LockedUntil.IsZero() {
		t.Errorf("stat: %+v, %v", is, err)
	}
	if err := s.RemoveVersion(t.Context(), "object", v.ID); err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveVersion(t.Context(), "object", v.ID); err != nil {
		t.Errorf("remove what is not there: %v", err)
	}
}

// testVersionPages has more keys than a page, and one key with more versions.
func testVersionPages(t *testing.T, b Bucket, s store.Versioned) {
	names := manyKeys(300)
	for i, key := range names {
		put(t, b.Store, key, body(uint64(i), 10))
		if i%2 == 0 {
			hide(t, b, key)
		}
		if i == 99 {
			for range 600 {
				put(t, b.Store, key, body(uint64(i), 20))
			}
		}
	}
	at := 0
	for all, err := range s.Versions(t.Context(), "many/") {
		if err != nil {
			t.Fatal(err)
		}
		want := 1 + (at+1)%2
		if at == 99 {
			want = 601
		}
		if at >= len(names) || all[0].Key != names[at] || len(all) != want || !all[0].Latest || all[0].Gone != (at%2 == 0) {
			t.Fatalf("key %d of the listing: %d versions, want %d: %+v", at, len(all), want, all[0])
		}
		at++
	}
	if at != len(names) {
		t.Errorf("%d keys, want %d", at, len(names))
	}
	if err := b.Store.Delete(t.Context(), names[99]); err != nil {
		t.Fatal(err)
	}
	if left := versions(t, s, names[99]); len(left) > 0 {
		t.Errorf("%d versions left", len(left))
	}
}

// testLocked: what is written is refused to be removed until its date, which can be
// put off, and is in the way of nothing else.
func testLocked(t *testing.T, b Bucket, s store.Versioned) {
	want := body(1, 100)
	for _, key := range []string{"locked", "longer"} {
		put(t, b.Store, key, want)
	}
	v := versions(t, s, "locked")[0]
	is, err := s.StatVersion(t.Context(), "locked", v.ID)
	if err != nil || is.LockedUntil.IsZero() {
		t.Fatalf("is not locked: %+v, %v", is, err)
	}
	w := versions(t, s, "longer")[0]
	longer := is.LockedUntil.Add(LockedFor)
	if err := s.LockVersion(t.Context(), "longer", w.ID, longer); err != nil {
		t.Fatal(err)
	}
	if err := s.LockVersion(t.Context(), "longer", w.ID, is.LockedUntil); err != nil {
		t.Errorf("a date that would be earlier: %v", err)
	}
	if got, err := s.StatVersion(t.Context(), "longer", w.ID); err != nil || got.LockedUntil.Sub(longer).Abs() > time.Second {
		t.Errorf("was put off to %v, want %v: %v", got.LockedUntil, longer, err)
	}
	for what, err := range map[string]error{
		"remove":               s.RemoveVersion(t.Context(), "locked", v.ID),
		"delete":               b.Store.Delete(t.Context(), "locked"),
		"delete of what stays": b.Store.Delete(t.Context(), "longer"),
	} {
		var locked *store.LockedError
		if !errors.As(err, &locked) || locked.Until.IsZero() {
			t.Errorf("%s: %v, want a date", what, err)
		}
	}
	expect(t, b.Store, "locked", 0, -1, want) // and nothing hides it
	hide(t, b, "locked")
	b.Pass(is.LockedUntil)
	if err := b.Store.Delete(t.Context(), "locked"); err != nil {
		t.Errorf("after its date: %v", err)
	}
	if left := versions(t, s, "locked"); len(left) > 0 {
		t.Errorf("left: %+v", left)
	}
	expectErr(t, "what was put off, after the first date", b.Store.Delete(t.Context(), "longer"), store.ErrLocked)
}
