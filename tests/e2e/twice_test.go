package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/tunesafe/tunesafe/tests/tools"
)

// The same music under other names and with other tags shares its sound with
// what is there.
func TestSecondCopy(t *testing.T) {
	p, proxy := counted(t)
	library := music(t, false)
	h := filled(t, p, library)

	other := tempDir(t)
	copyTree(t, library, other)
	tracks := len(tools.Retag(t, other, tools.RetagOptions{To: "Various Artists, Newly Remastered"}))
	proxy.Reset()
	again := filepath.Join(h.At, "Another name")
	if err := os.Mkdir(again, 0o755); err != nil {
		t.Fatal(err)
	}
	copyTree(t, other, again)
	wait(h)
	log := proxy.Log()
	s := proxy.Reset()
	key := lose(h)
	figure(t, "second copy: %d tracks, %d bytes up, %d a track, %d PUTs: %v", tracks, s.Up, s.Up/int64(tracks),
		s.Ops["PutObject"].Requests, readLedger(t, p.folder, key).sent(log))
	noSound(t, s)

	cold := coldDrive(t, p, key)
	tools.SameTree(t, other, filepath.Join(cold.At, "Another name"))
	if err := os.RemoveAll(filepath.Join(cold.At, "Another name")); err != nil {
		t.Fatal(err)
	}
	tools.SameTree(t, library, cold.At)
}
