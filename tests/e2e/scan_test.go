package e2e

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/tests/tools"
)

// A player that indexes the library on a fresh machine sees every tag right, and
// nothing of the sound is touched.
func TestColdScan(t *testing.T) {
	p, proxy := counted(t)
	library := music(t, true)
	want := tools.ScanTags(t, library)
	key := lose(filled(t, p, library))
	stored := readLedger(t, p.folder, key).sent(proxy.Log())
	small := stored.of("tags", "art", "index", "probe")

	proxy.Reset()
	began := time.Now()
	cold := coldDrive(t, p, key)
	shown := time.Since(began)
	got := tools.ScanTags(t, cold.At)
	took := time.Since(began)
	s := proxy.Stats()

	figure(t, "cold scan: %d tracks, %s down in %d requests, %.2f times the tags, pictures, index and probes, which are %s (%v); mounted in %.1f s, scanned after %.1f s",
		len(got), size(s.Down), s.Requests, float64(s.Down)/float64(small), size(small), stored, shown.Seconds(), took.Seconds())
	figure(t, "cold scan: by folder %v", s.Prefixes)
	noSound(t, s)
	if s.Down > small*7/5 { // 1.1 mostly; frames that came alone before it was told for a scan weigh in a small library
		t.Errorf("%d bytes came down, over 1.4 times %d", s.Down, small)
	}
	proxy.Reset()
	tracks := tools.Tracks(t, cold.At)
	args := []string{"-q", "-json"}
	for _, track := range tracks {
		args = append(args, filepath.Join(cold.At, track))
	}
	run(t, tools.Need(t, "exiftool")[0], args...)
	// It reads on in blocks of 8 KiB from wherever the tags made it begin, so that one of
	// some hundred ends behind the probe.
	if n := proxy.Stats().Prefixes["audio/"].Requests; n > int64(len(tracks)/50) {
		t.Errorf("exiftool: %d requests for sound of %d tracks", n, len(tracks))
	}
	if len(got) != len(want) {
		t.Errorf("%d tracks, want %d", len(got), len(want))
	}
	for name, tags := range want {
		if got[name] != tags {
			t.Errorf("%s: %+v, want %+v", name, got[name], tags)
		}
	}
}
