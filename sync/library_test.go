package sync

import (
	"bytes"
	"testing"

	"github.com/tunesafe/tunesafe/internal/itunes/itunestest"
)

// TestPlayCountsUploadLittle changes ten play counts of a library of iTunes as
// large as one of 7,000 tracks: what goes up is bound.
func TestPlayCountsUploadLittle(t *testing.T) {
	d := newWorld(t).device("a")
	defer d.close()
	lib := itunestest.Library(7300)
	write := func() int {
		var b bytes.Buffer
		if err := lib.Write(&b); err != nil {
			t.Fatal(err)
		}
		d.write("iTunes Library.xml", b.Bytes())
		d.wait()
		return b.Len()
	}
	size := write()
	first := d.w.Status().UploadedBytes
	for i := range 10 {
		lib.Tracks[i*700].Plays++
	}
	write()
	again := d.w.Status().UploadedBytes - first
	t.Logf("figure: a library of %.1f MB: %d bytes up at first, %d after ten play counts", float64(size)/1e6, first, again)
	if again > 150_000 {
		t.Errorf("%d bytes up for ten play counts of %d bytes", again, size)
	}
}
