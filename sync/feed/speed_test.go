package feed

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// BenchmarkUnchanged is a run over 23,000 files of which none changed, in folders
// of ten.
func BenchmarkUnchanged(b *testing.B) {
	r := newRig(b)
	for i := range 23_000 {
		p := r.in(fmt.Sprintf("Artist %d/Album %d/%02d Title.mp3", i/80, i/10, i%10))
		must(b, os.MkdirAll(filepath.Dir(p), 0o755))
		must(b, os.WriteFile(p, nil, 0o644))
	}
	if rep := r.run(); rep.New != 23_000 {
		b.Fatal(words(rep))
	}
	r.stop() // the worker has nothing to do with it
	r.stop = func() {}
	b.ReportAllocs()
	for b.Loop() {
		if rep := r.run(); rep.Unchanged != 23_000 {
			b.Fatal(words(rep))
		}
	}
}
