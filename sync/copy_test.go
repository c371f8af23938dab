package sync

import (
	"math/rand/v2"
	"testing"

	"github.com/tunesafe/tunesafe/cache"
)

// A copy of a file of which nothing is here fetches nothing, is safe with one
// commit and no other object, and is then on every other device.
func TestCopyOfColdFileMovesNoBytes(t *testing.T) {
	w := newWorld(t)
	rnd := rand.New(rand.NewPCG(8, 8))
	files := map[string][]byte{"a.wav": wav(rnd, 2_000_000), "long.wav": wav(rnd, 20<<20)}
	two := w.cold(files)
	before := w.st.Counts()
	for _, name := range []string{"a.wav", "long.wav"} {
		a, err := two.cache.Lookup(cache.Root, name)
		if err != nil {
			t.Fatal(err)
		}
		src, err := two.cache.OpenFile(a.Ino, cache.OpenFlags{Read: true})
		if err != nil {
			t.Fatal(err)
		}
		_, dst, err := two.cache.Create(cache.Root, "copy of "+name, 0o644, cache.Owner{}, cache.OpenFlags{Write: true})
		if err != nil {
			t.Fatal(err)
		}
		if n, err := two.cache.CopyRange(src, 0, dst, 0, a.Size); n != a.Size || err != nil {
			t.Fatalf("copied %d of %d, %v", n, a.Size, err)
		}
		src.Release()
		if err := dst.Release(); err != nil {
			t.Fatal(err)
		}
	}
	two.wait()
	after := w.st.Counts()
	t.Logf("up %d bytes in %d requests, down %d bytes", after.UploadedBytes-before.UploadedBytes, after.Puts-before.Puts, after.DownloadedBytes-before.DownloadedBytes)
	if up, down := after.UploadedBytes-before.UploadedBytes, after.DownloadedBytes-before.DownloadedBytes; up > 2000 || down > 1000 { // down: the head of the log, before a commit
		t.Errorf("%d bytes up, %d down, for the copy of %d", up, down, len(files["long.wav"]))
	}
	for _, name := range []string{"a.wav", "long.wav"} {
		files["copy of "+name] = files[name]
	}
	w.sameAs(files)
}
