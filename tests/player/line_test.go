package player

import (
	"errors"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/tests/musiclib"
	"github.com/tunesafe/tunesafe/tests/s3proxy"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// slowBy is how much more a second the line brings than is played.
const slowBy = 1.2

// TestMPDOnALine has mpd play albums through, in time, over a line a fifth faster than
// they play: of each kind one with only the tags here and one with the first seconds,
// too; then two mpds beside a restore. None ever waits for sound. The quick run has
// [TestStock] alone: this one goes by the clock.
func TestMPDOnALine(t *testing.T) {
	tools.Need(t, "mpd", "mpc")
	if tools.Tier() == "ci" {
		t.Log("a show of the other tiers")
		return
	}
	kinds := []musiclib.Kind{musiclib.MP3, musiclib.M4ABack, musiclib.FLAC}
	var libraries []musiclib.Options
	for _, k := range kinds {
		o := musiclib.Options{Only: k, Albums: 2, TracksPerAlbum: 3, TotalBytes: 3e6, ArtBytes: [2]int{20e3, 60e3}}
		switch k {
		case musiclib.MP3:
			o.Albums, o.TotalBytes = 4, 6e6
		case musiclib.FLAC:
			o.TotalBytes = 6e6
		}
		libraries = append(libraries, o)
	}
	c := coldOf(t, libraries...)
	tools.ScanTags(t, c.At)
	m := c.indexed("yes")
	for _, k := range kinds {
		c.playsInTime(m, "its tags here", c.albums(k)[0])
	}
	c.proxy.Set(s3proxy.Faults{})
	m.run("stop")
	c.Run("unmount", c.At)
	c.Mount("--instant", "2s")
	c.until("the first seconds are here", func() bool {
		k := c.Status().Kept
		return k != nil && k.Heads == int64(len(c.sum.Tracks))
	})
	for _, k := range kinds {
		if took := c.playsInTime(m, "its first seconds here", c.albums(k)[1]); took > time.Second {
			t.Errorf("%s: nothing was heard for %v", k, took)
		}
	}
	if bad := m.complaints(); len(bad) > 0 {
		t.Errorf("mpd complains:\n%s", strings.Join(bad, "\n"))
	}
	c.besideRestore(m, c.albums(musiclib.MP3)[2], c.albums(musiclib.MP3)[3], path.Dir(c.albums(musiclib.FLAC)[0][0]))
}

// indexed starts an mpd that plays from the drive and made its index elsewhere, as
// what it reads for that is sound, too.
func (c *cold) indexed(sync string) *mpd {
	c.T.Helper()
	music := filepath.Join(c.T.TempDir(), "music")
	point := func(to string) {
		if err := errors.Join(os.RemoveAll(music), os.Symlink(to, music)); err != nil {
			c.T.Fatal(err)
		}
	}
	point(c.lib)
	m := startMPD(c.T, music, sync)
	m.run("--wait", "update")
	point(c.At)
	return m
}

// albums are the tracks of a kind, album by album.
func (c *cold) albums(k musiclib.Kind) (albums [][]string) {
	for _, t := range c.sum.Tracks {
		if t.Kind != k {
			continue
		}
		n := len(albums)
		if n == 0 || path.Dir(albums[n-1][0]) != path.Dir(t.Path) {
			albums = append(albums, nil)
			n++
		}
		albums[n-1] = append(albums[n-1], t.Path)
	}
	for _, a := range albums {
		slices.Sort(a)
	}
	return albums
}

// rate is what the fastest of some tracks takes, in bytes a second.
func (c *cold) rate(m *mpd, tracks []string) (most float64) {
	for _, t := range c.sum.Tracks {
		if slices.Contains(tracks, t.Path) {
			most = max(most, float64(t.Size)/m.seconds(t.Path))
		}
	}
	return most
}

// begin has mpd play tracks, and waits until something is heard.
func (m *mpd) begin(tracks []string) time.Duration {
	m.t.Helper()
	m.run("clear")
	m.run(append([]string{"add"}, tracks...)...)
	began := time.Now()
	m.run("play")
	for m.elapsed() == 0 {
		if time.Since(began) > time.Minute {
			m.t.Fatal("nothing is heard for a minute")
		}
		time.Sleep(20 * time.Millisecond)
	}
	return time.Since(began)
}

// heardOut waits for the last track's end, and judges.
func (m *mpd) heardOut(tracks []string) {
	m.t.Helper()
	m.until("the tracks end", func() bool { return !strings.Contains(m.run("status"), "[playing]") })
	log := m.logged()
	for _, file := range tracks {
		if !strings.Contains(log, `player: played "`+file+`"`) {
			m.t.Errorf("mpd did not play %s", file)
		}
	}
	if n := strings.Count(log, "too slow"); n > 0 {
		m.t.Errorf("mpd had to wait for sound %d times", n)
	}
}

// playsInTime plays an album, and tells when the first of it was heard.
func (c *cold) playsInTime(m *mpd, what string, album []string) time.Duration {
	c.T.Helper()
	rate := slowBy * c.rate(m, album)
	c.proxy.Set(s3proxy.Faults{DownRate: int64(rate), Latency: 30 * time.Millisecond})
	c.proxy.Reset()
	first := m.begin(album)
	m.heardOut(album)
	c.T.Logf("figure: mpd, %s, %d tracks at %.0f kB/s, a fifth over what they take, with %s: the first is heard after %.2f s; %d requests for sound",
		filepath.Ext(album[0])[1:], len(album), rate/1e3, what, first.Seconds(), c.audio())
	return first
}

// besideRestore has two mpds play an album each while a folder is restored.
func (c *cold) besideRestore(one *mpd, a, b []string, folder string) {
	c.T.Helper()
	other := c.indexed("yes")
	rate := slowBy * (c.rate(one, a) + c.rate(one, b))
	c.proxy.Set(s3proxy.Faults{DownRate: int64(rate), Latency: 30 * time.Millisecond})
	restore := c.Command("restore", folder, c.T.TempDir())
	if err := restore.Start(); err != nil {
		c.T.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- restore.Wait() }()
	time.Sleep(3 * time.Second) // it has the line
	first, second := one.begin(a), other.begin(b)
	one.heardOut(a)
	other.heardOut(b)
	c.T.Logf("figure: beside a restore two mpds on a line of %.0f kB/s begin after %.2f and %.2f s", rate/1e3, first.Seconds(), second.Seconds())
	c.proxy.Set(s3proxy.Faults{})
	if err := <-ended; err != nil {
		c.T.Errorf("restore: %v", err)
	}
}
