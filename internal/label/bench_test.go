package label_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/tunesafe/tunesafe/internal/label"
	"github.com/tunesafe/tunesafe/internal/split"
	"github.com/tunesafe/tunesafe/tests/musiclib"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// BenchmarkRead reads the labels of a library from its files, a cut of each for
// comparison.
func BenchmarkRead(b *testing.B) {
	tools.Need(b, musiclib.Tools...)
	o, _ := musiclib.Preset("ci")
	dir := b.TempDir()
	s, err := musiclib.Make(b.Context(), dir, o)
	if err != nil {
		b.Fatal(err)
	}
	for _, what := range []string{"split", "label"} {
		b.Run(what, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				f, err := os.Open(filepath.Join(dir, s.Tracks[i%len(s.Tracks)].Path))
				if err != nil {
					b.Fatal(err)
				}
				st, _ := f.Stat()
				l, err := split.Split(f, st.Size())
				if err == nil && what == "label" {
					_, err = label.Read(f, st.Size(), l)
				}
				if err != nil {
					b.Fatal(err)
				}
				f.Close()
			}
		})
	}
}
