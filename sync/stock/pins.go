package stock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/cache"
)

const pinsKey = "pins"

// pin is something that a person named. It follows what is renamed.
type pin struct {
	Ino  cache.Ino `json:"ino"`
	Path []byte    `json:"path"` // as it was named
}

// Pinned tells of one pin. Sizes are bytes.
type Pinned struct {
	Path        []byte
	Files, Here int64 // files; of them, whole here
	Bytes       int64
	BytesHere   int64
	Gone        bool // it is not on the drive any more
}

// Status tells what is kept.
type Status struct {
	Files, Here int64 // pinned; of them, whole here
	Bytes       int64
	BytesHere   int64

	Instant    time.Duration // of each track
	Heads      int64         // tracks of which the first seconds are here
	Tracks     int64         // of so many
	HeadBytes  int64
	HeadsEnded bool // the room for them is used up

	Trouble error
}

// ErrNoRoom: what is to be pinned does not fit on the disk.
var ErrNoRoom = errors.New("does not fit on this disk")

// Pin has files, folders and what playlists name stay here. Nothing is pinned if one
// of them is not there, or all do not fit.
func (s *Stock) Pin(paths []string) ([]Pinned, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	pins := slices.Clone(s.pins)
	var told []Pinned
	var lacks int64
	for _, p := range paths {
		a, err := resolve(s.c, p)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		one := pin{a.Ino, []byte(strings.TrimPrefix(path.Clean("/"+p), "/"))}
		t, _, err := s.tell(one)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		told, lacks = append(told, t), lacks+t.Bytes-t.BytesHere
		if !slices.ContainsFunc(pins, func(o pin) bool { return o.Ino == a.Ino }) {
			pins = append(pins, one)
		}
	}
	if room := s.c.Room(); lacks > room {
		return told, fmt.Errorf("%w: %d bytes are missing here, and there is room for %d", ErrNoRoom, lacks, room)
	}
	return told, s.setPins(pins)
}

// Unpin ends that for what was pinned by these paths, or lies there now.
func (s *Stock) Unpin(paths []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	pins := slices.Clone(s.pins)
	for _, p := range paths {
		a, err := resolve(s.c, p)
		name := strings.TrimPrefix(path.Clean("/"+p), "/")
		before := len(pins)
		pins = slices.DeleteFunc(pins, func(o pin) bool { return err == nil && o.Ino == a.Ino || string(o.Path) == name })
		if len(pins) == before {
			return fmt.Errorf("%s: %w", p, ErrNotPinned)
		}
	}
	return s.setPins(pins)
}

// ErrNotPinned: it was not pinned by itself.
var ErrNotPinned = errors.New("is not pinned")

// setPins stores pins. s.mu is held.
func (s *Stock) setPins(pins []pin) error {
	raw, err := json.Marshal(pins)
	if err == nil {
		err = s.c.SetMeta(pinsKey, raw)
	}
	if err != nil {
		return err
	}
	s.pins = pins
	_, err = s.take()
	s.told.Lock()
	s.at = time.Time{}
	s.told.Unlock()
	s.poke()
	return err
}

// Pins lists them.
func (s *Stock) Pins() (all []Pinned, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.pins {
		t, _, err := s.tell(p)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

// tell looks at what a pin stands for.
func (s *Stock) tell(p pin) (Pinned, []cache.Ino, error) {
	t := Pinned{Path: p.Path}
	inos, err := s.expand(p.Ino)
	if errors.Is(err, cache.ErrNotExist) {
		t.Gone = true
		return t, nil, nil
	}
	for _, ino := range inos {
		a, e := s.c.Attr(ino)
		if e != nil {
			continue // removed meanwhile
		}
		n, whole := s.c.Here(ino)
		t.Files, t.Bytes, t.BytesHere = t.Files+1, t.Bytes+a.Size, t.BytesHere+n
		if whole {
			t.Here++
		}
	}
	return t, inos, err
}

// expand lists the files that a pin stands for.
func (s *Stock) expand(ino cache.Ino) (inos []cache.Ino, err error) {
	kind, err := s.c.Type(ino)
	if err != nil {
		return nil, err
	}
	if kind == unix.S_IFDIR {
		err := s.c.Tracks(ino, func(t cache.Track) { inos = append(inos, t.Ino) })
		return inos, err
	}
	names, err := s.c.Where(ino)
	if err != nil {
		return nil, err
	}
	inos = []cache.Ino{ino}
	for _, n := range names {
		if isPlaylist(n.Name) {
			list, err := s.readPlaylist(context.Background(), n)
			return append(inos, list...), err
		}
	}
	return inos, nil
}

// take has the cache keep what the pins stand for now. s.mu is held.
func (s *Stock) take() (all []cache.Ino, err error) {
	for _, p := range s.pins {
		inos, err := s.expand(p.Ino)
		if err != nil && !errors.Is(err, cache.ErrNotExist) {
			return nil, err
		}
		all = append(all, inos...)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	return all, s.c.SetPinned(all)
}

// fetchPinned brings what is missing of what is pinned.
func (s *Stock) fetchPinned(ctx context.Context) error {
	s.mu.Lock()
	if len(s.pins) == 0 {
		s.mu.Unlock()
		return nil
	}
	all, err := s.take()
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return each(ctx, all, func(ctx context.Context, ino cache.Ino) error {
		if _, whole := s.c.Here(ino); whole {
			return nil
		}
		if s.c.Room() == 0 {
			return cache.ErrFull
		}
		return s.c.Fetch(ctx, ino, -1)
	})
}

// Status counts what is kept; it may be some seconds old, and waits for nothing.
func (s *Stock) Status() Status {
	s.told.Lock()
	defer s.told.Unlock()
	if time.Since(s.at) > recount {
		n := Status{Instant: s.o.Instant}
		for _, ino := range s.c.PinnedFiles() {
			a, err := s.c.Attr(ino)
			if err != nil {
				continue // removed meanwhile
			}
			here, whole := s.c.Here(ino)
			n.Files, n.Bytes, n.BytesHere = n.Files+1, n.Bytes+a.Size, n.BytesHere+here
			if whole {
				n.Here++
			}
		}
		s.counted, s.at = n, time.Now()
	}
	n := s.counted
	n.Heads, n.Tracks, n.HeadBytes, n.HeadsEnded = s.heads.here, s.heads.of, s.heads.bytes, s.heads.ended
	n.Trouble = s.trouble
	return n
}

// resolve finds a path of the drive.
func resolve(c *cache.Cache, p string) (cache.Attr, error) {
	a, err := c.Attr(cache.Root)
	for _, n := range strings.Split(path.Clean("/"+p), "/") {
		if n != "" && err == nil {
			a, err = c.Lookup(a.Ino, n)
		}
	}
	return a, err
}
