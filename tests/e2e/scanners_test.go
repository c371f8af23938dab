package e2e

import (
	"os/exec"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/tests/s3proxy"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// scanner is a program that reads what tracks say of themselves.
type scanner struct {
	name   string
	silent bool // it reads no sound: tags and probe are all that it needs
	run    func(t testing.TB, root string, files []string)
}

// each runs a command with all files as its last arguments.
func each(program string, args ...string) func(testing.TB, string, []string) {
	return func(t testing.TB, root string, files []string) {
		cmd := exec.CommandContext(t.Context(), tools.Need(t, program)[0], append(args, files...)...)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", program, err, out[max(0, len(out)-2000):])
		}
	}
}

var scanners = []scanner{
	{"mutagen", true, func(t testing.TB, root string, _ []string) { tools.ScanTags(t, root) }},
	{"kid3-cli", false, func(t testing.TB, root string, files []string) {
		for _, f := range files {
			each("kid3-cli", "-c", "get")(t, root, []string{f})
		}
	}},
	{"python3-taglib", false, func(t testing.TB, root string, files []string) {
		const read = "import sys, taglib\nfor p in sys.argv[1:]:\n f = taglib.File(p)\n f.tags, f.length\n f.close()"
		cmd := exec.CommandContext(t.Context(), tools.Need(t, tools.Taglib)[0], append([]string{"-c", read}, files...)...)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("taglib: %v\n%s", err, out[max(0, len(out)-2000):])
		}
	}},
	{"exiftool", true, each("exiftool", "-q", "-json")},
	{"ffprobe", false, func(t testing.TB, root string, files []string) {
		for _, f := range files {
			each("ffprobe", "-v", "error", "-show_format", "-show_streams")(t, root, []string{f})
		}
	}},
}

// TestScanners has each program read a mixed library on a cold drive, each on one of
// its own. What it reads is a row of ARCHITECTURE.md's table. The quick run has
// [TestColdScan] alone.
func TestScanners(t *testing.T) {
	if tools.Tier() == "ci" {
		t.Log("a show of the other tiers")
		return
	}
	p, proxy := counted(t)
	library := music(t, false)
	key := lose(filled(t, p, library))
	for _, s := range scanners {
		proxy.Set(s3proxy.Faults{})
		cold := coldDrive(t, p, key).At
		proxy.Set(s3proxy.Faults{DownRate: 4e6, Latency: 30 * time.Millisecond})
		files := tools.Tracks(t, cold)
		proxy.Reset()
		began := time.Now()
		s.run(t, cold, files)
		took, n := time.Since(began), proxy.Stats()
		sound := n.Prefixes["audio/"]
		figure(t, "scanner %s: %d tracks, %s down in %d requests, %d of them for sound (%s), %.1f s",
			s.name, len(files), size(n.Down), n.Requests, sound.Requests, size(sound.Down), took.Seconds())
		if s.silent {
			noSound(t, n)
		}
	}
	proxy.Set(s3proxy.Faults{})
}
