package fs

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/cache"
)

// silent tells how often sound was fetched since the last call.
func (b *bucket) silent() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.heard
	b.heard = 0
	if n > 0 {
		return fmt.Errorf("sound was fetched %d times", n)
	}
	return nil
}

// What a planted track is made of. The bytes of every part are those of [sound]
// from the part's beginning on.
const (
	trackTags  = 70_001
	trackProbe = 8192
	trackAudio = 3 << 20
	trackTail  = 4096
	trackSize  = trackTags + trackProbe + trackAudio + trackTail
)

// plantTrack makes a track in the child's cache: tags, the probe around the
// sound, and the sound, of which nothing is here.
func plantTrack(c *cache.Cache, name string) error {
	ino := 3<<40 + cache.Ino(rand.Uint32())
	part := func(kind string, size int64) cache.Part {
		return cache.Part{Kind: kind, Size: size, Blobs: []cache.Blob{{ID: [16]byte{1}, Size: size}}}
	}
	return c.Absorb([]cache.Row{{
		Ino: ino, Mode: syscall.S_IFREG | 0o644, UID: uint32(os.Getuid()), Mtime: time.Unix(1e9, 0),
		Recipe: &cache.Recipe{
			Size:  trackSize,
			Parts: []cache.Part{part("tags", trackTags), part("probe", trackProbe+trackTail), part("audio", trackAudio)},
			Runs: []cache.Run{{Part: 0, Length: trackTags}, {Part: 1, Length: trackProbe},
				{Part: 2, Length: trackAudio}, {Part: 1, Length: trackTail}},
		},
	}}, []cache.NameRow{{Parent: cache.Root, Name: name, Ino: ino}}, "other:1")
}

func trackContent() []byte {
	probe := soundOf(0, trackProbe+trackTail)
	return bytes.Join([][]byte{soundOf(0, trackTags), probe[:trackProbe], soundOf(0, trackAudio), probe[trackProbe:]}, nil)
}

// A scanner reads the tags from the beginning to the end and then here and there
// in the probe. No sound is fetched for that, as the kernel's reading ahead
// would have it.
func TestScanFetchesNoSound(t *testing.T) {
	c := mounted(t, mode{Passthrough: os.Geteuid() == 0})
	c.tell(t, "plant-track song")
	path := filepath.Join(c.Dir, "song")
	want := trackContent()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	check(t, err)
	defer f.Close()
	got, err := io.ReadAll(io.NewSectionReader(f, 0, trackTags+trackProbe))
	if err != nil || !bytes.Equal(got, want[:len(got)]) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	for _, at := range []int{0, 10, trackTags - 1, trackTags + 4000, trackSize - trackTail, trackSize - 128} {
		if got := readAt(t, f, int64(at), 100); got != string(want[at:at+100]) {
			t.Errorf("100 bytes at %d differ", at)
		}
	}
	copy(want[500:], "a new title")
	_, err = f.WriteAt([]byte("a new title"), 500)
	check(t, err)
	if got := readAt(t, f, 0, trackTags); got != string(want[:trackTags]) {
		t.Error("the tags differ after writing")
	}
	c.tell(t, "silent")
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("all of it: %d bytes, %v", len(got), err)
	}
}

// A file of which bytes are missing can be mapped, shared too, and what is
// stored there and what is written and read otherwise are one.
func TestMappedWhileMissing(t *testing.T) {
	c := mounted(t, mode{Passthrough: os.Geteuid() == 0})
	c.tell(t, "plant-track song")
	want := trackContent()
	f, err := os.OpenFile(filepath.Join(c.Dir, "song"), os.O_RDWR, 0)
	check(t, err)
	defer f.Close()
	for _, how := range []int{unix.MAP_PRIVATE, unix.MAP_SHARED} {
		m, err := unix.Mmap(int(f.Fd()), 0, trackSize, unix.PROT_READ|unix.PROT_WRITE, how)
		check(t, err)
		if !bytes.Equal(m, want) {
			t.Errorf("mapped with %#x: other bytes", how)
		}
		if how == unix.MAP_SHARED {
			copy(m[trackTags-5:], "stored here")
			copy(want[trackTags-5:], "stored here")
			check(t, unix.Msync(m, unix.MS_SYNC))
			if got := readAt(t, f, 0, trackSize); got != string(want) {
				t.Error("what was stored is not read")
			}
			copy(want[9000:], "written")
			_, err := f.WriteAt([]byte("written"), 9000)
			check(t, err)
			if !bytes.Equal(m, want) {
				t.Error("what was written is not in the mapping")
			}
		}
		check(t, unix.Munmap(m))
	}
	check(t, f.Close())
	if got, err := os.ReadFile(filepath.Join(c.Dir, "song")); err != nil || !bytes.Equal(got, want) {
		t.Errorf("opened anew: %d bytes, %v", len(got), err)
	}
}
