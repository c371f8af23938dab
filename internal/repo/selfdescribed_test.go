package repo

import (
	"bytes"
	"slices"
	"testing"
)

// TestEachBlob: a pack tells its blobs itself, and an audio object those of sizes that
// are looked for.
func TestEachBlob(t *testing.T) {
	e := newEnv(t)
	blobs := [][]byte{noise(1, 5000), bytes.Repeat([]byte("x"), 300<<10), {}, noise(2, 200<<10), noise(3, 17), bytes.Repeat([]byte("yz"), 50<<10)}
	for _, kind := range []string{Tags, Art, Checkpoint} {
		row := e.pack(kind, blobs...)
		var got [][]byte
		err := e.k.EachBlob(row.Name, e.body(row.Name), nil, func(k string, p []byte) (bool, error) {
			if k != kind {
				t.Errorf("kind %s, want %s", k, kind)
			}
			got = append(got, bytes.Clone(p))
			return false, nil
		})
		if err != nil || !slices.EqualFunc(got, blobs, bytes.Equal) {
			t.Errorf("%s: %d of %d blobs, %v", kind, len(got), len(blobs), err)
		}
	}
	sound := [][]byte{noise(4, 70_000), noise(5, 10), noise(6, 70_000), noise(7, 30_000)}
	row := e.audio(sound...)
	var got [][]byte
	err := e.k.EachBlob(row.Name, e.body(row.Name), []int64{10, 30_000, 70_000}, func(_ string, p []byte) (bool, error) {
		is := slices.ContainsFunc(sound, func(s []byte) bool { return bytes.Equal(s, p) })
		if is {
			got = append(got, bytes.Clone(p))
		}
		return is, nil
	})
	if err != nil || !slices.EqualFunc(got, sound, bytes.Equal) {
		t.Errorf("%d of %d blobs of sound, %v", len(got), len(sound), err)
	}
}
