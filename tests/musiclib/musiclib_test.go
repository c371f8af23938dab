package musiclib_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tunesafe/tunesafe/tests/musiclib"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// makeLib makes a library in a directory of the test.
func makeLib(t *testing.T, o musiclib.Options) (string, musiclib.Summary) {
	t.Helper()
	tools.Need(t, musiclib.Tools...)
	dir := t.TempDir()
	s, err := musiclib.Make(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return dir, s
}

func preset(t *testing.T, name string) musiclib.Options {
	t.Helper()
	o, err := musiclib.Preset(name)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestFilesAreValid(t *testing.T) {
	ffmpeg := tools.Need(t, "ffmpeg", tools.Mutagen)[0]
	dir, s := makeLib(t, preset(t, "ci"))
	tags := tools.ScanTags(t, dir)
	if len(tags) != len(s.Tracks) {
		t.Errorf("%d music files, %d tracks made", len(tags), len(s.Tracks))
	}
	queue := make(chan musiclib.Track)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for tr := range queue {
				out, err := exec.Command(ffmpeg, "-v", "error", "-nostdin", "-i", filepath.Join(dir, tr.Path),
					"-map", "0", "-f", "null", "-").CombinedOutput()
				if err != nil || len(bytes.TrimSpace(out)) > 0 {
					t.Errorf("%s does not decode cleanly: %v\n%s", tr.Path, err, out)
				}
			}
		})
	}
	for _, tr := range s.Tracks {
		want := tools.Tags{Title: tr.Title, Artist: tr.Artist, Album: tr.Album, Art: tr.Art}
		if d := cmp.Diff(want, tags[tr.Path]); d != "" {
			t.Errorf("%s: tags (-want +got):\n%s", tr.Path, d)
		}
		queue <- tr
	}
	close(queue)
	wg.Wait()
}

func TestSameOptionsSameLibrary(t *testing.T) {
	o := musiclib.Options{Albums: 2, TracksPerAlbum: 8, TotalBytes: 6e6, ArtBytes: [2]int{5e3, 9e3}, Seed: 3, Xattrs: true}
	a, sa := makeLib(t, o)
	b, sb := makeLib(t, o)
	tools.SameTree(t, a, b)
	if d := cmp.Diff(sa, sb); d != "" {
		t.Errorf("summaries differ:\n%s", d)
	}
	if _, err := musiclib.Make(t.Context(), b, o); err != nil {
		t.Errorf("a second time into the same folder: %v", err)
	}
	tools.SameTree(t, a, b)

	o.Seed = 4
	c, _ := makeLib(t, o)
	da, err := tools.TreeDigest(a)
	if err != nil {
		t.Fatal(err)
	}
	if dc, err := tools.TreeDigest(c); err != nil || da == dc {
		t.Errorf("another seed, the same library (%v)", err)
	}
}

// A warm cache must make no other library than the cold one that filled it.
func TestColdCache(t *testing.T) {
	o := musiclib.Options{Albums: 2, TracksPerAlbum: 6, TotalBytes: 3e6, Seed: 5, CacheDir: t.TempDir()}
	a, _ := makeLib(t, o)
	b, _ := makeLib(t, o)
	tools.SameTree(t, a, b)
	o.CacheDir = t.TempDir()
	c, _ := makeLib(t, o)
	tools.SameTree(t, a, c)
}

func TestContents(t *testing.T) {
	o := preset(t, "ci")
	dir, s := makeLib(t, o)
	kinds := s.Kinds()
	for _, k := range []musiclib.Kind{musiclib.MP3, musiclib.M4AFront, musiclib.M4ABack, musiclib.FLAC, musiclib.Ogg, musiclib.Opus, musiclib.WAV} {
		if kinds[k] == 0 {
			t.Errorf("no %s", k)
		}
	}
	if s.Bytes < o.TotalBytes*95/100 || s.Bytes > o.TotalBytes*105/100 {
		t.Errorf("%d bytes, want about %d", s.Bytes, o.TotalBytes)
	}
	first, size := 0, int64(0)
	var foreign bool
	for _, tr := range s.Tracks {
		if tr.Artist == musiclib.FirstArtist {
			first++
		}
		info, err := os.Stat(filepath.Join(dir, tr.Path))
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
		if info.Size() != tr.Size || filepath.Ext(tr.Path) != tr.Kind.Ext() || info.ModTime().Year() != 2017 {
			t.Errorf("%s: %d bytes of %s, %s", tr.Path, tr.Size, tr.Kind, info.ModTime())
		}
		b, err := os.ReadFile(filepath.Join(dir, tr.Path))
		if err != nil {
			t.Fatal(err)
		}
		moov, mdat := bytes.Index(b, []byte("moov")), bytes.Index(b, []byte("mdat"))
		if tr.Kind == musiclib.M4AFront && moov > mdat || tr.Kind == musiclib.M4ABack && moov < mdat {
			t.Errorf("%s: moov at %d, mdat at %d", tr.Kind, moov, mdat)
		}
		foreign = foreign || strings.ContainsFunc(tr.Path, func(c rune) bool { return c > 0x7F })
	}
	if 2*first != len(s.Tracks) {
		t.Errorf("%d of %d tracks by the first artist", first, len(s.Tracks))
	}
	if !foreign {
		t.Error("no name beyond ASCII")
	}
	b, err := os.ReadFile(filepath.Join(dir, "iTunes Library.xml"))
	if err != nil {
		t.Fatal(err)
	}
	if size += int64(len(b)); size != s.Bytes || s.Files != len(s.Tracks)+1 {
		t.Errorf("%d files, %d bytes; the folder has %d", s.Files, s.Bytes, size)
	}
	for d := xml.NewDecoder(bytes.NewReader(b)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("iTunes library: %v", err)
		}
	}
}

func TestPlain(t *testing.T) {
	o := preset(t, "tiny20k")
	o.Albums, o.TotalBytes = o.Albums/100, o.TotalBytes/100
	dir, s := makeLib(t, o)
	if kinds := s.Kinds(); len(kinds) != 1 || kinds[musiclib.MP3] != 200 {
		t.Errorf("kinds: %v", kinds)
	}
	if files := tools.Tracks(t, dir); len(files) != 200 {
		t.Errorf("%d files", len(files))
	}
}

func TestPresetsAndErrors(t *testing.T) {
	if !slices.Contains(musiclib.Presets(), "sample") {
		t.Errorf("presets: %v", musiclib.Presets())
	}
	if _, err := musiclib.Preset("no such"); err == nil {
		t.Error("an unknown preset has options")
	}
	if _, err := musiclib.Make(t.Context(), t.TempDir(), musiclib.Options{}); err == nil {
		t.Error("made a library of no album")
	}
	tools.Need(t, musiclib.Tools...)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o := preset(t, "ci")
	o.CacheDir = t.TempDir()
	if _, err := musiclib.Make(ctx, t.TempDir(), o); err == nil {
		t.Error("made a library although canceled")
	}
}
