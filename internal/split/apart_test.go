package split_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/tunesafe/tunesafe/internal/split"
)

// spans notes what is read.
type spans struct {
	r    io.ReaderAt
	read [][2]int64 // offset and end
}

func (s *spans) ReadAt(p []byte, off int64) (int, error) {
	s.read = append(s.read, [2]int64{off, off + int64(len(p))})
	return s.r.ReadAt(p, off)
}

// TestReadsNoAudio wants a file cut by its headers and its probe: a track of
// which only those are here is cut after a retag, and its sound is not fetched
// for that.
func TestReadsNoAudio(t *testing.T) {
	files := large(1 << 20)
	delete(files, "data")
	tag := id3(3, 0, "TIT2", be32(11), zeros(2), text(11), zeros(100))
	files["mp3 without an information frame"] = cat(tag, frames(1000))
	files["mp3 without tags"] = frames(1000)
	files["ogg with small pages"] = cat(opusHead(1), bytes.Repeat(page(0, 1, 960, true, text(800)), 500))
	for name, b := range files {
		s := &spans{r: bytes.NewReader(b)}
		l, err := split.Split(s, int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		audio := -1
		for i, k := range l.Parts {
			if k == split.Audio {
				audio = i
			}
		}
		if audio < 0 {
			t.Fatalf("%s: no audio in %v", name, l.Parts)
		}
		if at := overlap(s.read, l, audio); at != "" {
			t.Errorf("%s: %s", name, at)
		}
	}
}

// overlap describes the first read of a part.
func overlap(read [][2]int64, l split.Layout, part int) string {
	for off, n := range l.Extents(part) {
		for _, r := range read {
			if r[0] < off+n && r[1] > off {
				return fmt.Sprintf("read %d to %d, of which %d to %d are audio", r[0], r[1], off, off+n)
			}
		}
	}
	return ""
}
