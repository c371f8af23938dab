package label_test

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/tunesafe/tunesafe/internal/label"
	"github.com/tunesafe/tunesafe/internal/split"
	"github.com/tunesafe/tunesafe/tests/musiclib"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// guarded fails a read of sound or of pictures.
type guarded struct {
	t *testing.T
	r io.ReaderAt
	l split.Layout
	n int64 // bytes read
}

func (g *guarded) ReadAt(b []byte, off int64) (int, error) {
	g.n += int64(len(b))
	var at int64
	for _, run := range g.l.Runs {
		k := g.l.Parts[run.Part]
		if (k == split.Audio || k == split.Art) && off < at+run.Length && at < off+int64(len(b)) {
			g.t.Errorf("%d bytes read at %d: %v lies there", len(b), off, k)
		}
		at += run.Length
	}
	return g.r.ReadAt(b, off)
}

// readLabel reads the label of a file, and fails where sound is read for it.
func readLabel(t *testing.T, path string) label.Label {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r := bytes.NewReader(b)
	l, err := split.Split(r, r.Size())
	if err != nil {
		t.Fatal(err)
	}
	g := &guarded{t: t, r: r, l: l}
	got, err := label.Read(g, r.Size(), l)
	if err != nil {
		t.Fatal(err)
	}
	if g.n > 256<<10 {
		t.Errorf("%s: %d bytes read for a label", path, g.n)
	}
	back, err := label.Decode(got.Encode())
	if err != nil || back != got {
		t.Errorf("%s: the row reads %+v, %v", path, back, err)
	}
	return got
}

// mutagen runs testdata/labels.py.
func mutagen(t *testing.T, command string, files ...string) []byte {
	t.Helper()
	tools.Need(t, tools.Mutagen)
	out, err := exec.Command("/usr/bin/python3", append([]string{"testdata/labels.py", command}, files...)...).Output()
	if err != nil {
		if e := new(exec.ExitError); asExit(err, &e) {
			t.Fatalf("mutagen %s: %v\n%s", command, err, e.Stderr)
		}
		t.Fatal(err)
	}
	return out
}

func asExit(err error, e **exec.ExitError) bool {
	x, ok := err.(*exec.ExitError)
	*e = x
	return ok
}

// same compares labels to what mutagen reads of the files.
func same(t *testing.T, files []string) {
	t.Helper()
	want := map[string]struct {
		Title, Artist, Album string
		Seconds              float64
	}{}
	if err := json.Unmarshal(mutagen(t, "read", files...), &want); err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		l, w := readLabel(t, file), want[file]
		if l.Title != w.Title || l.Artist != w.Artist || l.Album != w.Album {
			t.Errorf("%s:\n%q %q %q, mutagen reads\n%q %q %q", file, l.Title, l.Artist, l.Album, w.Title, w.Artist, w.Album)
		}
		if d := math.Abs(l.Seconds - w.Seconds); d > 0.1 && d > w.Seconds/100 {
			t.Errorf("%s: %.3f s, mutagen reads %.3f s", file, l.Seconds, w.Seconds)
		}
		if l.Format == "" {
			t.Errorf("%s: no format", file)
		}
	}
}

// TestLibrary reads a made library as mutagen does.
func TestLibrary(t *testing.T) {
	tools.Need(t, append([]string{tools.Mutagen}, musiclib.Tools...)...)
	o, err := musiclib.Preset("ci")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s, err := musiclib.Make(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, track := range s.Tracks {
		files = append(files, filepath.Join(dir, track.Path))
		if l := readLabel(t, files[len(files)-1]); l.Title != track.Title || l.Art == 0 && track.Art != "" && track.Kind != musiclib.WAV {
			t.Errorf("%s: %+v", track.Path, l)
		}
	}
	same(t, files)
}

// encodings are the containers that the programs here make, by file name, with
// the options of ffmpeg.
var encodings = map[string][]string{
	"cbr.mp3":     {"-c:a", "libmp3lame", "-b:a", "128k"},
	"cbr.v23.mp3": {"-c:a", "libmp3lame", "-b:a", "128k"},
	"noxing.mp3":  {"-c:a", "libmp3lame", "-b:a", "160k", "-write_xing", "0"},
	"vbr.mp3":     {"-c:a", "libmp3lame", "-q:a", "3"},
	"mono22.mp3":  {"-c:a", "libmp3lame", "-ac", "1", "-ar", "22050", "-q:a", "5"},
	"aac.m4a":     {"-c:a", "aac"},
	"front.m4a":   {"-c:a", "aac", "-movflags", "+faststart"},
	"alac.m4a":    {"-c:a", "alac"},
	"a.flac":      {"-c:a", "flac"},
	"vorbis.ogg":  {"-c:a", "libvorbis"},
	"opus.opus":   {"-c:a", "libopus"},
	"speex.spx":   {"-ar", "32000", "-c:a", "libspeex"},
	"flac.oga":    {"-c:a", "flac", "-f", "ogg"},
	"pcm.wav":     {"-c:a", "pcm_s16le"},
	"pcm24.wav":   {"-c:a", "pcm_s24le"},
	"pcm.aiff":    {"-c:a", "pcm_s16be"},
	"wma.wma":     {"-c:a", "wmav2"},
	"wp.wv":       {"-c:a", "wavpack"},
	"tta.tta":     {"-c:a", "tta"},
}

// TestContainers tags every container with mutagen and reads it as mutagen
// does.
func TestContainers(t *testing.T) {
	tools.Need(t, "ffmpeg", tools.Mutagen)
	dir := t.TempDir()
	var files []string
	for name, options := range encodings {
		files = append(files, encode(t, dir, name, options...))
	}
	mutagen(t, "tag", files...)
	same(t, files)
	for _, file := range files {
		l := readLabel(t, file)
		if l.AlbumArtist != "Lahti" || l.Composer != "Jean Sibelius" || l.Genre != "Classical" || l.Year != 1998 || l.Track != 3 || l.Disc != 2 {
			t.Errorf("%s: %+v", file, l)
		}
	}
}

// encode makes seven seconds of sound.
func encode(t *testing.T, dir, name string, options ...string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	args := append([]string{"-nostdin", "-loglevel", "error", "-y", "-f", "lavfi", "-i",
		"aevalsrc='0.3*sin(440*2*PI*t)+0.1*random(0)|0.3*sin(660*2*PI*t)':s=44100:d=7", "-ac", "2"}, options...)
	if out, err := exec.Command("ffmpeg", append(args, file)...).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg %s: %v\n%s", name, err, out)
	}
	return file
}
