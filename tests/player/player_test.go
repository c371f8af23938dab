// Package player plays from the drive as people do: through real players, from a
// home that was made a moment ago and holds nothing of the library yet.
package player

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
	"github.com/tunesafe/tunesafe/tests/drive"
	"github.com/tunesafe/tunesafe/tests/musiclib"
	"github.com/tunesafe/tunesafe/tests/s3proxy"
	"github.com/tunesafe/tunesafe/tests/tools"
)

func TestMain(m *testing.M) { os.Exit(drive.Main(m)) }

// cold is a library, and the drive of a home that was made of the bucket alone.
type cold struct {
	*drive.Home
	T      testing.TB
	lib    string
	sum    musiclib.Summary
	server *realserver.Server
	proxy  *s3proxy.Proxy
	key    string // the file of the recovery key
}

// newCold uploads a library with every kind of track, loses the home it was
// uploaded from, and mounts the drive of a new one.
func newCold(t testing.TB) *cold {
	t.Helper()
	return coldOf(t, musiclib.Options{
		Albums: tools.Count(t, 2, 5, 20), TracksPerAlbum: 6, TotalBytes: int64(tools.Count(t, 12, 30, 120)) * 1e6,
		ArtBytes: [2]int{20e3, 60e3},
	})
}

// coldOf does so with libraries of some kinds, each in a folder of that name; of
// the mixture it is "".
func coldOf(t testing.TB, libraries ...musiclib.Options) *cold {
	t.Helper()
	drive.NeedFUSE(t)
	tools.Need(t, musiclib.Tools...)
	c := &cold{T: t, lib: filepath.Join(t.TempDir(), "lib")}
	for _, o := range libraries {
		o.Seed = 1
		sum, err := musiclib.Make(t.Context(), filepath.Join(c.lib, string(o.Only)), o)
		if err != nil {
			t.Fatal(err)
		}
		for _, track := range sum.Tracks {
			track.Path = path.Join(string(o.Only), track.Path)
			c.sum.Tracks = append(c.sum.Tracks, track)
		}
		c.sum.Bytes += sum.Bytes
	}
	c.server = realserver.StartEmbedded(t)
	c.proxy = s3proxy.Start(c.server.Endpoint)
	t.Cleanup(c.proxy.Close)
	c.proxy.SetRoot(drive.Prefix)

	first := drive.New(t, c.server)
	first.Init(c.proxy.URL)
	first.Mount()
	if out, err := exec.Command("cp", "-a", c.lib+"/.", first.At).CombinedOutput(); err != nil {
		t.Fatalf("cp -a: %v\n%s", err, out)
	}
	first.Run("unmount", "--wait", first.At)
	c.key = first.Lose()
	c.again()
	return c
}

// again goes on with a home that is made of the bucket alone.
func (c *cold) again() {
	c.T.Helper()
	if c.Home != nil {
		c.Run("unmount", c.At)
	}
	c.Home = drive.New(c.T, c.server)
	c.Adopt(c.proxy.URL, c.key)
	c.Mount()
	c.proxy.Reset()
}

// audio are the requests below audio/ since the home was made.
func (c *cold) audio() int64 { return c.proxy.Stats().Prefixes["audio/"].Requests }

// decode plays a file to nowhere with ffmpeg, from its first to its last sample,
// and returns the MD5 of the sound.
func decode(t testing.TB, ffmpeg, file string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(ffmpeg, "-nostdin", "-hide_banner", "-v", "error", "-xerror", "-i", file,
		"-map", "0:a", "-f", "md5", "-")
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		t.Errorf("ffmpeg -i %s: %v\n%s", file, err, stderr.String())
	}
	return strings.TrimSpace(stdout.String())
}

// TestFFmpeg decodes every track from a cold home: each container, whole.
func TestFFmpeg(t *testing.T) {
	ffmpeg := tools.Need(t, "ffmpeg")[0]
	c := newCold(t)
	for _, track := range c.sum.Tracks {
		original := decode(t, ffmpeg, filepath.Join(c.lib, track.Path))
		got := decode(t, ffmpeg, filepath.Join(c.At, track.Path))
		if original == "" || got != original {
			t.Errorf("%s (%s): the sound is %q, not %q", track.Path, track.Kind, got, original)
		}
	}
	kinds := c.sum.Kinds()
	for _, kind := range []musiclib.Kind{
		musiclib.MP3, musiclib.M4AFront, musiclib.M4ABack, musiclib.FLAC, musiclib.Ogg, musiclib.Opus, musiclib.WAV,
	} {
		if kinds[kind] == 0 {
			t.Errorf("the library has no %s", kind)
		}
	}
	s := c.proxy.Stats()
	t.Logf("figure: ffmpeg decoded %d tracks of %d kinds from a cold home; downloaded %d bytes of %d, in %d requests",
		len(c.sum.Tracks), len(kinds), s.Down, c.sum.Bytes, s.Requests)
	mustBeSilent(t, c.Home.Log())
}

// mustBeSilent fails the test if the program had anything to complain about.
func mustBeSilent(t testing.TB, log string) {
	t.Helper()
	for line := range strings.Lines(log) {
		if strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR") {
			t.Errorf("the program's log: %s", line)
		}
	}
}

// firstOf is the path of the first track of a kind.
func (c *cold) firstOf(kind musiclib.Kind) (string, error) {
	for _, track := range c.sum.Tracks {
		if track.Kind == kind {
			return track.Path, nil
		}
	}
	return "", errors.New("the library has no " + string(kind))
}
