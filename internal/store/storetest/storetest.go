// Package storetest is the conformance suite of [store.Store]: what every
// implementation, and every decorator over one, must do. An implementation's
// test calls [Run].
//
// Where the interface leaves room the suite decides: a Get of the whole of an
// empty object (offset 0, length below 0) gives no bytes and no error, any
// other range of it is [store.ErrRange], and a Get of no bytes inside an object
// gives an empty stream.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/tunesafe/tunesafe/internal/store"
)

// Run holds the stores that open returns to the contract. Each call of open
// gives an empty store of its own.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, s store.Store)
	}{
		{"PutGet", testPutGet},
		{"Ranges", testRanges},
		{"Empty", testEmpty},
		{"Absent", testAbsent},
		{"OddKeys", testOddKeys},
		{"OverwriteSame", testOverwriteSame},
		{"Stat", testStat},
		{"Delete", testDelete},
		{"ListOrder", testListOrder},
		{"ListPages", testListPages},
		{"ListStops", testListStops},
		{"Cancelled", testCancelled},
		{"CancelledInBody", testCancelledInBody},
		{"CloseEarly", testCloseEarly},
		{"Large", testLarge},
		{"Concurrent", testConcurrent},
		{"Atomic", testAtomic},
		{"BodyNotKept", testBodyNotKept},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

// body returns n bytes that differ with the seed.
func body(seed uint64, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), 1}).Read(b) // never fails
	return b
}

func put(t *testing.T, s store.Store, key string, b []byte) {
	t.Helper()
	if err := s.Put(t.Context(), key, b); err != nil {
		t.Fatal(err)
	}
}

// get reads a range to its end.
func get(ctx context.Context, s store.Store, key string, offset, length int64) ([]byte, error) {
	r, err := s.Get(ctx, key, offset, length)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(r)
	return b, errors.Join(err, r.Close())
}

// expect fails unless the range of key holds want.
func expect(t *testing.T, s store.Store, key string, offset, length int64, want []byte) {
	t.Helper()
	got, err := get(t.Context(), s, key, offset, length)
	if err != nil {
		t.Fatalf("%s from %d, %d bytes: %v", key, offset, length, err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%s from %d, %d bytes: got %d bytes, want %d or other content", key, offset, length, len(got), len(want))
	}
}

func expectErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

// keys lists to the end.
func keys(t *testing.T, s store.Store, prefix, after string) []string {
	t.Helper()
	var names []string
	for info, err := range s.List(t.Context(), prefix, after) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, info.Key)
	}
	return names
}

// manyKeys returns n keys in order.
func manyKeys(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("many/%05d", i)
	}
	return names
}
