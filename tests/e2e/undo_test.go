package e2e

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/tests/tools"
)

// TestUndo takes a retag of a whole library back on a drive on which nothing is: the tags
// are those of before, byte for byte, and no sound was fetched or sent for it.
func TestUndo(t *testing.T) {
	tools.Need(t, "ffmpeg", "ffprobe", tools.Mutagen)
	p, proxy := counted(t)
	h := filled(t, p, music(t, false))
	before := keep(t, h)
	tools.Retag(t, h.At, tools.RetagOptions{To: "Somebody Else"})
	after := keep(t, h)

	cold := coldDrive(t, p, lose(h))
	proxy.Reset()
	begun := time.Now()
	cold.Run("undo", "--since", before.name)
	wait(cold)
	took := time.Since(begun)
	stats := proxy.Stats()
	noSound(t, stats)
	figure(t, "undo of a retag of %d tracks: %s up, %s down, %d requests, %.1f s",
		len(tools.Tracks(t, before.copy)), size(stats.Up), size(stats.Down), stats.Requests, took.Seconds())
	if stats.Up > 100<<10 {
		t.Errorf("%d bytes were sent to undo a retag", stats.Up)
	}
	run(t, "diff", "-r", "--no-dereference", before.copy, cold.At) // folders have the time of the undoing
	tools.SameTree(t, after.copy, filepath.Join(cold.At, ".snapshots", after.name))
}
