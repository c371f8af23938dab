package tools_test

import (
	"os/exec"
	"path"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tunesafe/tunesafe/tests/musiclib"
	"github.com/tunesafe/tunesafe/tests/tools"
)

func smallLibrary(t *testing.T) (string, musiclib.Summary) {
	t.Helper()
	tools.Need(t, append([]string{tools.Mutagen}, musiclib.Tools...)...)
	dir := t.TempDir()
	s, err := musiclib.Make(t.Context(), dir, musiclib.Options{
		Albums: 2, TracksPerAlbum: 12, TotalBytes: 5e6, ArtBytes: [2]int{4e3, 8e3}, Seed: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir, s
}

func TestRetag(t *testing.T) {
	made, _ := smallLibrary(t)
	before := tools.ScanTags(t, made)
	all := map[string]bool{".mp3": true, ".m4a": true, ".flac": true, ".ogg": true, ".opus": true, ".wav": true}
	for tool, exts := range map[string]map[string]bool{
		"": all, "mutagen": all, "rewrite": all, "kid3": all,
		"eyeD3":  {".mp3": true},
		"ffmpeg": {".mp3": true, ".m4a": true, ".flac": true},
	} {
		t.Run("tool "+tool, func(t *testing.T) {
			root := t.TempDir()
			if out, err := exec.Command("cp", "-a", made+"/.", root).CombinedOutput(); err != nil {
				t.Fatalf("cp: %v: %s", err, out)
			}
			const to = `Jean "Sibelius" d'Été \ シベリウス`
			edited := tools.Retag(t, root, tools.RetagOptions{Tool: tool, From: musiclib.FirstArtist, To: to})
			want := map[string]tools.Tags{}
			var files []string
			for _, f := range tools.Tracks(t, made) {
				want[f] = before[f]
				if before[f].Artist == musiclib.FirstArtist && exts[path.Ext(f)] {
					tags := before[f]
					tags.Artist = to
					want[f] = tags
					files = append(files, f)
				}
			}
			if d := cmp.Diff(files, edited); d != "" {
				t.Errorf("files edited (-want +got):\n%s", d)
			}
			if d := cmp.Diff(want, tools.ScanTags(t, root)); d != "" {
				t.Errorf("tags (-want +got):\n%s", d)
			}
		})
	}
}

func TestRetagLimitAndMatch(t *testing.T) {
	root, s := smallLibrary(t)
	o := tools.RetagOptions{To: "x", Match: "*/0? *", Limit: 3}
	if got := tools.Retag(t, root, o); len(got) != 3 {
		t.Errorf("edited %q, want three", got)
	}
	o.Limit = 0
	if got := tools.Retag(t, root, o); len(got) != 18 {
		t.Errorf("edited %d of %d, want the first nine of two albums", len(got), len(s.Tracks))
	}
	o.From = "nobody"
	if got := tools.Retag(t, root, o); len(got) != 0 {
		t.Errorf("edited %q, which are not nobody's", got)
	}
}
