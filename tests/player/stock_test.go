package player

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/home"
	"github.com/tunesafe/tunesafe/tests/s3proxy"
)

// TestStock: the first seconds of every track come by themselves, and play without the
// store; so does the next track of who plays one, by the folder and by a playlist.
func TestStock(t *testing.T) {
	c := newCold(t)
	c.Run("unmount", c.At)
	c.Mount("--instant", "2s")
	var music []string // of one folder, by name
	for _, track := range c.sum.Tracks {
		if filepath.Dir(track.Path) == filepath.Dir(c.sum.Tracks[0].Path) {
			music = append(music, track.Path)
		}
	}
	slices.Sort(music)
	c.until("the first seconds are here", func() bool {
		k := c.Status().Kept
		return k != nil && k.Tracks == int64(len(c.sum.Tracks)) && k.Heads == k.Tracks
	})
	s := c.proxy.Stats()
	t.Logf("figure: 2 s of each of %d tracks took %d requests under audio/ and %d bytes of %d",
		len(c.sum.Tracks), c.audio(), s.Down, c.sum.Bytes)

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
