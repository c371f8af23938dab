package sync

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/tests/musiclib"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// What a new artist may cost: in one file a commit and an object with its tags,
// both sealed; in many files at once a share of those.
const (
	aloneBytes    = 1800
	togetherBytes = 400
)

// TestRetagOfEachContainer has real taggers name the artist in one file of each
// container that libraries seldom have. To name another costs a few bytes, and
// never any of the sound.
func TestRetagOfEachContainer(t *testing.T) {
	tools.StepByStep(t)
	tools.Need(t, "ffmpeg", "wavpack", "mpcenc", "mkvmerge", "mkvpropedit", tools.Mutagen)
	dir := t.TempDir()
	src := filepath.Join(dir, "source.pcm")
	command(t, "ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", "anoisesrc=d=4:a=0.3:seed=1", "-ac", "2", "-bitexact", "-f", "wav", src)
	w := newWorld(t)
	d := w.device("one")
	d.close()
	d.settle = time.Minute // what is written together is one commit: to wait ends it
	d.open(w.st)
	files := map[string][]byte{}
	write := func(name string) {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = b
		d.write(name, b)
	}
	sent := func() int64 { d.wait(); return w.st.Counts().UploadedBytes }
	for _, s := range musiclib.Samples() {
		if err := s.Make(t.Context(), src, filepath.Join(dir, s.Name)); err != nil {
			t.Fatal(err)
		}
		setArtist(t, dir, s.Name, "Sibelius, Jean")
		write(s.Name)
		before := sent()
		setArtist(t, dir, s.Name, "Sibelius")
		d.together(func() { write(s.Name) })
		cost := sent() - before
		t.Logf("figure: retag of %s: %d bytes up, for a file of %d", s.Name, cost, len(files[s.Name]))
		if cost > aloneBytes {
			t.Errorf("%s: %d bytes up for a new artist, want at most %d", s.Name, cost, aloneBytes)
		}
	}
	for name := range files {
		setArtist(t, dir, name, "Sibelius of Ainola")
	}
	before := sent()
	d.together(func() {
		for name := range files {
			write(name)
		}
	})
	each := (sent() - before) / int64(len(files))
	t.Logf("figure: retag of all %d at once: %d bytes up each", len(files), each)
	if each > togetherBytes {
		t.Errorf("%d bytes up each for a new artist, want at most %d", each, togetherBytes)
	}
	w.sameAs(files)
}

// setArtist edits a file with the tagger that knows its container.
func setArtist(t *testing.T, dir, name, artist string) {
	t.Helper()
	file := filepath.Join(dir, name)
	switch filepath.Ext(name) {
	case ".mka", ".mkv", ".webm":
		command(t, "mkvpropedit", "-q", file, "--edit", "info", "--set", "title="+artist)
	case ".caf":
		tmp := filepath.Join(dir, "new.caf")
		command(t, "ffmpeg", "-nostdin", "-v", "error", "-i", file, "-c", "copy", "-metadata", "artist="+artist, tmp)
		if err := os.Rename(tmp, file); err != nil {
			t.Fatal(err)
		}
	default:
		if n := len(tools.Retag(t, dir, tools.RetagOptions{To: artist, Match: name})); n != 1 {
			t.Fatalf("%d files retagged", n)
		}
	}
}

func command(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, bytes.TrimSpace(out))
	}
}
