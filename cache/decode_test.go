package cache

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"testing"
)

// TestDecodeAsTheLibrary: rows read by hand are those that the library reads, damaged ones
// too, as far as they are read by hand at all; and those that we write are.
func TestDecodeAsTheLibrary(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	number := func() int64 {
		if rnd.IntN(4) == 0 {
			return 0
		}
		n := int64(rnd.Uint64() >> rnd.IntN(64))
		if rnd.IntN(4) == 0 {
			return -n
		}
		return n
	}
	count := func() uint64 { return uint64(number()) }
	text := func() string {
		b := make([]byte, rnd.IntN(3)*rnd.IntN(200))
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		return string(b)
	}
	at := func() stamp { return stamp{S: number(), N: rnd.Int64N(1e9)} }
	for range 1500 {
		n := &inode{Mode: uint32(number()), Nlink: uint32(number()), UID: uint32(number()), GID: uint32(number()), Rdev: uint32(number()),
			Size: number(), Atime: at(), Mtime: at(), Ctime: at(), Parent: count(), Name: text(), Target: text(), Gen: count(), Cut: count(),
			Ver: count(), CVer: count(), Base: text(), Succeeds: count(), TakenOpen: rnd.IntN(2) == 0, Room: number(), Fed: text()}
		if rnd.IntN(2) == 0 {
			sound := number()
			n.Sound = &sound
		}
		src := &sourceRow{Parent: count(), Name: text(), Dev: count(), Ino: count(), Size: number(), Mtime: at(), Ctime: at(),
			Outside: rnd.IntN(2) == 0, Made: rnd.IntN(2) == 0}
		compareRow(t, encode(n), new(inode), new(inode), (*inode).decode, true)
		compareRow(t, encode(n), new(brief), new(brief), (*brief).decode, true)
		compareRow(t, encode(src), new(sourceRow), new(sourceRow), (*sourceRow).decode, true)
		for _, row := range [][]byte{encode(n), encode(src)} {
			row = bytes.Clone(row[:len(row)-rnd.IntN(2)*rnd.IntN(len(row))])
			if len(row) > 0 {
				row[rnd.IntN(len(row))] ^= byte(1 << rnd.IntN(8))
			}
			compareRow(t, row, new(inode), new(inode), (*inode).decode, false)
			compareRow(t, row, new(brief), new(brief), (*brief).decode, false)
			compareRow(t, row, new(sourceRow), new(sourceRow), (*sourceRow).decode, false)
		}
	}
	n := &inode{Mode: 1, Xattrs: map[string][]byte{"user.a": []byte("b")}}
	got := new(inode)
	if err := decode(encode(n), got); err != nil || !reflect.DeepEqual(got, n) {
		t.Errorf("with an attribute: %+v, %v", got, err)
	}
}

// compareRow has byHand and the library read a row; ours is one that we write.
func compareRow[T any](t *testing.T, row []byte, got, want *T, byHand func(*T, []byte) bool, ours bool) {
	t.Helper()
	if !byHand(got, row) {
		if ours {
			t.Fatalf("%T %x was not read by hand", got, row)
		}
		return
	}
	if err := decMode.Unmarshal(row, want); err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%x reads as\n%+v, by the library as\n%+v, %v", row, got, want, err)
	}
}
