package sync

import (
	"testing"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/label"
)

// labelOf reads what the last cut stored of a file.
func (d *device) labelOf(t *testing.T, name string) label.Label {
	t.Helper()
	a, err := d.cache.Lookup(cache.Root, name)
	if err != nil {
		t.Fatal(err)
	}
	row, err := d.cache.Label(a.Ino)
	if err != nil || row == nil {
		t.Fatalf("no label: %v", err)
	}
	l, err := label.Decode(row)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestLabelFollowsTags keeps with each cut what the file says of itself then.
func TestLabelFollowsTags(t *testing.T) {
	d := newWorld(t).device("a")
	defer d.close()
	flac := func(comment string) []byte {
		head := "fLaC\x00\x00\x00\x22" + string(make([]byte, 34)) + "\x84\x00\x00" + string([]byte{byte(12 + len(comment))})
		body := "\x00\x00\x00\x00\x01\x00\x00\x00" + string([]byte{byte(len(comment)), 0, 0, 0}) + comment
		return append([]byte(head+body+"\xff\xf8"), make([]byte, 100_000)...)
	}
	d.write("a.flac", flac("TITLE=First"))
	d.write("b.txt", []byte("no music"))
	d.wait()
	if l := d.labelOf(t, "a.flac"); l.Title != "First" || l.Format != "FLAC" {
		t.Errorf("%+v", l)
	}
	if l := d.labelOf(t, "b.txt"); l.Music() || !l.Empty() {
		t.Errorf("%+v", l)
	}
	d.write("a.flac", flac("TITLE=Second"))
	d.wait()
	if l := d.labelOf(t, "a.flac"); l.Title != "Second" {
		t.Errorf("%+v", l)
	}
}
