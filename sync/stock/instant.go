package stock

import (
	"context"
	"errors"
	"slices"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/label"
	"github.com/tunesafe/tunesafe/sync/browse"
)

// headCount is what is here of the beginnings of tracks.
type headCount struct {
	here, of int64 // tracks
	bytes    int64
	ended    bool // the room is used up
}

const (
	// unknownRate is for tracks that do not say how long they are, in bytes a second.
	unknownRate = 40_000
	// headsShare is which part of the cap the beginnings may take.
	headsShare = 2
)

// headOf is how many bytes of sound a number of seconds are.
func headOf(t cache.Track, seconds float64) int64 {
	rate := float64(unknownRate)
	if says, err := label.Decode(t.Label); err == nil && t.Label != nil && says.Seconds > 0 {
		rate = float64(t.Sound) / says.Seconds
	}
	return min(int64(rate*seconds)+1, cache.MostHead/2, t.Sound)
}

// fetchHeads brings the first seconds of every track, as long as there is room.
func (s *Stock) fetchHeads(ctx context.Context) error {
	if s.o.Instant <= 0 {
		return nil
	}
	var tracks []cache.Track
	err := s.c.Tracks(cache.Root, func(t cache.Track) {
		if t.Sound > 0 && !t.Waits {
			t.Label = append([]byte(nil), t.Label...)
			tracks = append(tracks, t)
		}
	})
	if err != nil {
		return err
	}
	tracks = slices.DeleteFunc(tracks, func(t cache.Track) bool { return !s.hasSound(t) })
	s.told.Lock()
	s.heads = headCount{of: int64(len(tracks))}
	s.told.Unlock()
	return each(ctx, tracks, s.fetchHead)
}

// hasSound tells a track from other files.
func (s *Stock) hasSound(t cache.Track) bool {
	if says, err := label.Decode(t.Label); len(t.Label) > 0 && err == nil {
		return says.Music()
	}
	return s.isMusic(t.Ino)
}

func (s *Stock) fetchHead(ctx context.Context, t cache.Track) error {
	if len(t.Label) == 0 {
		if err := browse.Learn(ctx, s.c, t.Ino); err != nil {
			return err
		}
		var err error
		if t, err = s.c.Track(t.Ino); err != nil {
			return err
		}
	}
	head := headOf(t, s.o.Instant.Seconds())
	s.told.Lock()
	s.heads.ended = s.heads.ended || s.heads.bytes+head > s.c.CacheSize()/headsShare || s.c.Room() == 0
	ended := s.heads.ended
	s.told.Unlock()
	n, _ := s.c.Here(t.Ino)
	if ended && n < head {
		return nil
	}
	err := s.c.Fetch(ctx, t.Ino, head)
	if errors.Is(err, cache.ErrFull) {
		err = nil
	} else if err == nil {
		s.told.Lock()
		s.heads.here++
		s.heads.bytes += head
		s.told.Unlock()
	}
	return err
}
