package musiclib_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/tunesafe/tunesafe/internal/split"
	"github.com/tunesafe/tunesafe/tests/musiclib"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// TestSmall: small tracks are real ones, of about 4 KB, with tags and sound of their own.
func TestSmall(t *testing.T) {
	ffmpeg := tools.Need(t, append([]string{"ffmpeg", tools.Mutagen}, musiclib.Tools...)...)[0]
	const n = 35
	dir := t.TempDir()
	var list []musiclib.Track
	if err := musiclib.Small(t.Context(), dir, n, func(tr musiclib.Track) { list = append(list, tr) }); err != nil {
		t.Fatal(err)
	}
	tags := tools.ScanTags(t, dir)
	if len(list) != n || len(tags) != n {
		t.Errorf("%d tracks made, %d there", len(list), len(tags))
	}
	kinds, sounds, sum := map[musiclib.Kind]int{}, map[string]bool{}, int64(0)
	for _, tr := range list {
		kinds[tr.Kind]++
		sum += tr.Size
		if got, want := tags[tr.Path], (tools.Tags{Title: tr.Title, Artist: tr.Artist, Album: tr.Album}); got != want {
			t.Errorf("%s: mutagen reads %+v, want %+v", tr.Path, got, want)
		}
		name := filepath.Join(dir, tr.Path)
		if out, err := exec.Command(ffmpeg, "-v", "error", "-nostdin", "-i", name, "-f", "null", "-").CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
			t.Errorf("%s does not decode cleanly: %v\n%s", tr.Path, err, out)
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		cut, err := split.Split(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		var sound []byte
		for i, kind := range cut.Parts {
			for at, n := range cut.Extents(i) {
				if kind == split.Probe {
					sound = append(sound, b[at:at+n]...)
				}
			}
		}
		if len(sound) < 1000 || sounds[string(sound)] {
			t.Errorf("%s: %d bytes of sound, or sound of another", tr.Path, len(sound))
		}
		sounds[string(sound)] = true
	}
	if len(kinds) != 4 || kinds[musiclib.MP3] != 28 || sum/n < 3000 || sum/n > 5000 {
		t.Errorf("%v, %d bytes a track", kinds, sum/n)
	}
}
