package storetest

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/store"
)

// largeObject is beyond the largest object that Tunesafe writes.
const largeObject = 17 << 20

func testPutGet(t *testing.T, s store.Store) {
	for i, key := range []string{
		"a", "deep/er/and/deeper/still", "dots.and-dashes_and.0123456789",
		"x/" + strings.Repeat("k", store.MaxKey-2),
	} {
		want := body(uint64(i), 1000+i)
		put(t, s, key, want)
		expect(t, s, key, 0, -1, want)
	}
}

func testRanges(t *testing.T, s store.Store) {
	const size = 100_000
	b := body(1, size)
	put(t, s, "ranges", b)
	for _, r := range []struct{ offset, length, end int64 }{
		{0, -1, size},
		{0, 1, 1},
		{0, size, size},
		{0, size + 1, size}, // cut short
		{1, -1, size},
		{4096, 8192, 12288},
		{4096, 0, 4096},
		{0, 0, 0},
		{size - 1, -1, size},
		{size - 1, 1, size},
		{size - 1, 1000, size},
	} {
		expect(t, s, "ranges", r.offset, r.length, b[r.offset:r.end])
	}
	for _, r := range []struct{ offset, length int64 }{
		{size, -1}, {size, 1}, {size, 0}, {size + 1, -1}, {size + 1, 10}, {1 << 40, 1}, {-1, 1},
	} {
		_, err := get(t.Context(), s, "ranges", r.offset, r.length)
		expectErr(t, fmt.Sprintf("%d bytes from %d of %d", r.length, r.offset, size), err, store.ErrRange)
	}
}

func testEmpty(t *testing.T, s store.Store) {
	put(t, s, "empty", nil)
	expect(t, s, "empty", 0, -1, nil)
	for _, length := range []int64{0, 1} {
		_, err := get(t.Context(), s, "empty", 0, length)
		expectErr(t, fmt.Sprintf("%d bytes of an empty object", length), err, store.ErrRange)
	}
	info, err := s.Stat(t.Context(), "empty")
	if err != nil || info.Size != 0 {
		t.Errorf("stat of an empty object: %+v, %v", info, err)
	}
}

func testAbsent(t *testing.T, s store.Store) {
	put(t, s, "there/object", []byte("x"))
	// Beside, above and below an object, as servers on a filesystem may
	// mistake folders and files for one another.
	for _, key := range []string{"absent", "there", "there/objec", "there/object2", "there/object/below"} {
		_, err := get(t.Context(), s, key, 0, -1)
		expectErr(t, "get "+key, err, store.ErrNotExist)
		_, err = get(t.Context(), s, key, 5, 5)
		expectErr(t, "ranged get "+key, err, store.ErrNotExist)
		_, err = s.Stat(t.Context(), key)
		expectErr(t, "stat "+key, err, store.ErrNotExist)
	}
}

func testOddKeys(t *testing.T, s store.Store) {
	for _, key := range []string{
		"", "/", "/a", "a/", "a//b", "..", "a/../b", "./a", "A", "ä", "a b", "a\x00b", "a?b", "a%2fb",
		strings.Repeat("k", store.MaxKey+1),
	} {
		if err := s.Put(t.Context(), key, []byte("x")); err == nil {
			t.Errorf("put took the key %q", key)
		}
		if _, err := get(t.Context(), s, key, 0, -1); err == nil {
			t.Errorf("get took the key %q", key)
		}
		if err := s.Delete(t.Context(), key); err == nil {
			t.Errorf("delete took the key %q", key)
		}
	}
	if got := keys(t, s, "", ""); len(got) > 0 {
		t.Errorf("odd keys left objects: %q", got)
	}
}

func testOverwriteSame(t *testing.T, s store.Store) {
	b := body(2, 50_000)
	for range 3 {
		put(t, s, "same", b)
		expect(t, s, "same", 0, -1, b)
	}
	if got := keys(t, s, "", ""); len(got) != 1 {
		t.Errorf("one object written thrice lists as %q", got)
	}
}

func testStat(t *testing.T, s store.Store) {
	put(t, s, "stat/object", body(3, 12_345))
	info, err := s.Stat(t.Context(), "stat/object")
	if err != nil {
		t.Fatal(err)
	}
	if info.Key != "stat/object" || info.Size != 12_345 {
		t.Errorf("got %+v", info)
	}
	if age := time.Since(info.Time); !info.Time.IsZero() && (age > time.Hour || age < -time.Hour) {
		t.Errorf("an object written now has the time %v", info.Time)
	}
}

func testDelete(t *testing.T, s store.Store) {
	put(t, s, "folder/one", []byte("1"))
	put(t, s, "folder/two", []byte("2"))
	for _, key := range []string{"folder/one", "folder/one", "folder", "never/there"} {
		if err := s.Delete(t.Context(), key); err != nil {
			t.Errorf("delete %s: %v", key, err)
		}
	}
	_, err := get(t.Context(), s, "folder/one", 0, -1)
	expectErr(t, "get after delete", err, store.ErrNotExist)
	_, err = s.Stat(t.Context(), "folder/one")
	expectErr(t, "stat after delete", err, store.ErrNotExist)
	expect(t, s, "folder/two", 0, -1, []byte("2"))
	put(t, s, "folder/one", []byte("again"))
	expect(t, s, "folder/one", 0, -1, []byte("again"))
}

func testLarge(t *testing.T, s store.Store) {
	b := body(4, largeObject)
	put(t, s, "large", b)
	expect(t, s, "large", 0, -1, b)
	expect(t, s, "large", largeObject-100_000, 1<<20, b[largeObject-100_000:])
}

func testCloseEarly(t *testing.T, s store.Store) {
	b := body(5, 4<<20)
	put(t, s, "early", b)
	for range 20 {
		r, err := s.Get(t.Context(), "early", 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		head := make([]byte, 1000)
		if _, err := io.ReadFull(r, head); err != nil || !bytes.Equal(head, b[:1000]) {
			t.Fatalf("the head of a stream: %v", err)
		}
		if err := r.Close(); err != nil {
			t.Errorf("close early: %v", err)
		}
	}
	expect(t, s, "early", 0, -1, b)
}

func testBodyNotKept(t *testing.T, s store.Store) {
	b := body(6, 10_000)
	want := bytes.Clone(b)
	put(t, s, "kept", b)
	clear(b)
	expect(t, s, "kept", 0, -1, want)
}
