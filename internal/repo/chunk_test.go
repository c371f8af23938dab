package repo

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

func chunksOf(t *testing.T, r io.Reader) (chunks [][]byte) {
	t.Helper()
	for c, err := range Chunks(r, DataMin, DataNormal, DataMax) {
		if err != nil {
			t.Fatal(err)
		}
		chunks = append(chunks, bytes.Clone(c))
	}
	return chunks
}

func TestChunks(t *testing.T) {
	for _, n := range []int{0, 1, DataMin, DataMin + 1, DataMax, 1 << 20} {
		p := noise(1, n)
		chunks := chunksOf(t, iotest.HalfReader(bytes.NewReader(p)))
		if !bytes.Equal(bytes.Join(chunks, nil), p) {
			t.Fatalf("chunks of %d bytes do not join", n)
		}
		for i, c := range chunks {
			if len(c) > DataMax || len(c) == 0 || len(c) < DataMin && i < len(chunks)-1 {
				t.Errorf("chunk %d of %d bytes", i, len(c))
			}
		}
	}
	p := noise(2, 1<<20)
	seen := map[string]bool{}
	for _, c := range chunksOf(t, bytes.NewReader(p)) {
		seen[string(c)] = true
	}
	fresh := 0
	for _, c := range chunksOf(t, bytes.NewReader(append([]byte("shifted"), p...))) {
		if !seen[string(c)] {
			fresh += len(c)
		}
	}
	if fresh > 3*DataMax {
		t.Errorf("%d bytes anew after a shift", fresh)
	}
	broken := errors.New("broken")
	var got error
	for _, err := range Chunks(io.MultiReader(bytes.NewReader(p), iotest.ErrReader(broken)), DataMin, DataNormal, DataMax) {
		got = err
	}
	if !errors.Is(got, broken) {
		t.Errorf("%v, want the reader's error", got)
	}
}

func TestChunkSizesAreValid(t *testing.T) {
	for _, s := range [][3]int{{AudioMin, AudioNormal, AudioMax}, {DataMin, DataNormal, DataMax}, {LargeMin, LargeNormal, LargeMax}, {RowsMin, RowsNormal, RowsMax}} {
		for c, err := range Chunks(bytes.NewReader(make([]byte, 100)), s[0], s[1], s[2]) {
			if err != nil || len(c) != 100 {
				t.Error(s, err)
			}
		}
	}
}
