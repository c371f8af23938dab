package player

import (
	"os/exec"
	"testing"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/tunesafe/tunesafe/tests/musiclib"
	"github.com/tunesafe/tunesafe/tests/s3proxy"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// scanner is a program that reads what tracks say of themselves.
type scanner struct {
	name   string
	needs  []string
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

// oneByOne runs a command for each file.
func oneByOne(program string, args ...string) func(testing.TB, string, []string) {
	return func(t testing.TB, root string, files []string) {
		for _, f := range files {
			each(program, args...)(t, root, []string{f})
		}
	}
}

var scanners = []scanner{
	{"mutagen", []string{tools.Mutagen}, true, func(t testing.TB, root string, _ []string) { tools.ScanTags(t, root) }},
	{"exiftool", []string{"exiftool"}, false, each("exiftool", "-q", "-json")},
	{"kid3-cli", []string{"kid3-cli"}, false, oneByOne("kid3-cli", "-c", "get")},
	{"python3-taglib", []string{tools.Taglib}, false, func(t testing.TB, root string, files []string) {
		const read = "import sys, taglib\nfor p in sys.argv[1:]:\n f = taglib.File(p)\n f.tags, f.length\n f.close()"
		cmd := exec.CommandContext(t.Context(), tools.Need(t, tools.Taglib)[0], append([]string{"-c", read}, files...)...)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("taglib: %v\n%s", err, out[max(0, len(out)-2000):])
		}
	}},
	{"ffprobe", []string{"ffprobe"}, false, oneByOne("ffprobe", "-v", "error", "-show_format", "-show_streams")},
	{"mpd", []string{"mpd", "mpc"}, false, func(t testing.TB, root string, _ []string) {
		startMPD(t, root, "no").run("--wait", "update")
	}},
}

// TestScanners has each program read a mixed library over a line, from a cold drive of its
// own. What it reads is a row of ARCHITECTURE.md's table. The quick run has
// tests/e2e's TestColdScan alone.
func TestScanners(t *testing.T) {
	if tools.Tier() == "ci" {
		t.Log("a show of the other tiers")
		return
	}
	for _, s := range scanners {
		tools.Need(t, s.needs...)
	}
	o, err := musiclib.Preset("e2e1g")
	if err != nil {
		t.Fatal(err)
	}
	c := coldOf(t, o)
	for _, s := range scanners {
		c.proxy.Set(s3proxy.Faults{})
		c.again()
		c.proxy.Set(s3proxy.Faults{DownRate: 4e6, Latency: 30 * time.Millisecond})
		files := tools.Tracks(t, c.At)
		c.proxy.Reset()
		began := time.Now()
		s.run(t, c.At, files)
		took, n := time.Since(began), c.proxy.Stats()
		sound := n.Prefixes["audio/"]
		t.Logf("figure: scanner %s: %d tracks in %.1f s at 4 MB/s and 30 ms: %s of tags, pictures, index and probes in %d requests, %s of sound in %d",
			s.name, len(files), took.Seconds(), humanize.Bytes(uint64(n.Down-sound.Down)), n.Requests-sound.Requests,
			humanize.Bytes(uint64(sound.Down)), sound.Requests)
		if s.silent && sound.Requests > 0 {
			t.Errorf("%s: %d requests for sound", s.name, sound.Requests)
		}
	}
	c.proxy.Set(s3proxy.Faults{})
}
