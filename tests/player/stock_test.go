package player

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/home"
	"github.com/tunesafe/tunesafe/tests/s3proxy"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// TestStock: the first seconds of every track come by themselves, and play without the
// store, in mpd, too; so does the next track of who plays one, by the folder and by a
// playlist, and is given up when the player goes elsewhere.
func TestStock(t *testing.T) {
	tools.Need(t, "mpd", "mpc")
	c := newCold(t)
	c.Run("unmount", c.At)
	c.Mount("--instant", "2s")
	var music, other []string // of two folders, by name
	for _, track := range c.sum.Tracks {
		if filepath.Dir(track.Path) == filepath.Dir(c.sum.Tracks[0].Path) {
			music = append(music, track.Path)
		} else {
			other = append(other, track.Path)
		}
	}
	slices.Sort(music)
	slices.Sort(other)
	c.until("the first seconds are here", func() bool {
		k := c.Status().Kept
		return k != nil && k.Tracks == int64(len(c.sum.Tracks)) && k.Heads == k.Tracks
	})
	s := c.proxy.Stats()
	t.Logf("figure: 2 s of each of %d tracks took %d requests under audio/ and %d bytes of %d",
		len(c.sum.Tracks), c.audio(), s.Down, c.sum.Bytes)

	c.heardWithoutStore(other[2])

	list := "#EXTM3U\n"
	for _, i := range []int{3, 1, 5} {
		list += filepath.Base(music[i]) + "\n"
	}
	if err := os.WriteFile(filepath.Join(c.At, filepath.Dir(music[0]), "list.m3u"), []byte(list), 0o644); err != nil {
		t.Fatal(err)
	}
	c.Run("wait")

	c.offline(true)
	for _, track := range c.sum.Tracks {
		f, err := os.Open(filepath.Join(c.At, track.Path))
		if err != nil {
			t.Fatal(err)
		}
		head := make([]byte, min(track.Size, 16<<10))
		if _, err := io.ReadFull(f, head); err != nil {
			t.Errorf("%s without the store: %v", track.Path, err)
		}
		f.Close()
	}
	c.offline(false)

	c.plays(music[0], music[1]) // the folder's next
	c.plays(music[3], music[4]) // what was just played is in no list before this one
	c.plays(music[1], music[5]) // by the list, in which 3 is before 1
	c.abandons(other[0], other[1], other[3])
}

// heardWithoutStore has mpd begin a track while nothing is answered that it asks for.
func (c *cold) heardWithoutStore(track string) {
	c.T.Helper()
	if scope, err := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope"); err == nil && scope[0] != '0' && os.Geteuid() != 0 {
		c.T.Log("the kernel does not tell the drive here who reads by io_uring: mpd has to wait for 256 KiB")
		return
	}
	m := c.indexed("yes")
	answer := make(chan struct{})
	c.proxy.Before(func(r *http.Request) s3proxy.Action {
		select {
		case <-answer:
		case <-r.Context().Done():
		}
		return s3proxy.Forward
	})
	defer c.proxy.Before(nil)
	first := m.begin([]string{track})
	close(answer)
	m.run("stop") // it is not to count as who plays
	c.T.Logf("figure: mpd is heard after %.2f s with the first 2 s here and a store that does not answer", first.Seconds())
}

// abandons plays a track, and goes to one of another place once the next is asked for.
func (c *cold) abandons(track, next, elsewhere string) {
	c.T.Helper()
	var mu sync.Mutex
	own := ""
	asked, left := make(chan struct{}), make(chan struct{})
	c.proxy.Before(func(r *http.Request) s3proxy.Action {
		key := s3proxy.Key(r)
		if !strings.Contains(key, "audio/") {
			return s3proxy.Forward
		}
		mu.Lock()
		if own == "" {
			own = key
		}
		first := key != own && !isClosed(asked)
		if first {
			close(asked)
		}
		mu.Unlock()
		if first { // it comes slowly
			<-r.Context().Done()
			close(left)
		}
		return s3proxy.Forward
	})
	defer c.proxy.Before(nil)
	f, err := os.Open(filepath.Join(c.At, track))
	if err != nil {
		c.T.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, f); err != nil {
		c.T.Fatal(err)
	}
	c.until("the next track is asked for", func() bool { return isClosed(asked) })
	f.Close()
	g, err := os.Open(filepath.Join(c.At, elsewhere))
	if err != nil {
		c.T.Fatal(err)
	}
	defer g.Close()
	if _, err := io.ReadFull(g, make([]byte, 4096)); err != nil {
		c.T.Fatal(err)
	}
	c.until("the next track is given up", func() bool { return isClosed(left) })
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(c.At, next), &st); err != nil || c.here(next) >= st.Size {
		c.T.Errorf("%d of %d bytes of the track that was given up came: %v", c.here(next), st.Size, err)
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (c *cold) offline(yes bool) { c.proxy.Set(s3proxy.Faults{Offline: yes}) }

// until waits for what happens by itself.
func (c *cold) until(what string, ok func() bool) {
	c.T.Helper()
	const patience = 2 * time.Minute
	for begun := time.Now(); !ok(); time.Sleep(200 * time.Millisecond) {
		if time.Since(begun) > patience {
			c.T.Fatalf("%s: not within %v; status %+v", what, patience, c.Status().Kept)
		}
	}
}

// plays reads a track as a player does, which keeps it open, and then what should be
// the next, without the store.
func (c *cold) plays(track, next string) {
	c.T.Helper()
	f, err := os.Open(filepath.Join(c.At, track))
	if err != nil {
		c.T.Fatal(err)
	}
	defer f.Close()
	if _, err := io.Copy(io.Discard, f); err != nil {
		c.T.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join(c.lib, next))
	if err != nil {
		c.T.Fatal(err)
	}
	c.until(fmt.Sprintf("%s is fetched while %s plays", next, track), func() bool { return c.here(next) >= int64(len(want)) })
	c.offline(true)
	defer c.offline(false)
	if got, err := os.ReadFile(filepath.Join(c.At, next)); err != nil || !bytes.Equal(got, want) {
		c.T.Errorf("%s without the store: %d bytes, %v", next, len(got), err)
	}
}

// here is how many bytes of a file the home has on its disk.
func (c *cold) here(file string) int64 {
	c.T.Helper()
	var st, content unix.Stat_t
	if err := unix.Stat(filepath.Join(c.At, file), &st); err != nil {
		c.T.Fatal(err)
	}
	if err := unix.Stat(filepath.Join(home.Home(c.Dir).ContentDir(), cache.ContentName(st.Ino)), &content); err != nil {
		return 0
	}
	return content.Blocks * 512
}
