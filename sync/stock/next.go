package stock

import (
	"bufio"
	"context"
	"io"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
	"golang.org/x/text/encoding/charmap"

	"github.com/tunesafe/tunesafe/cache"
)

// wanted is a next track that is being fetched for who plays another.
type wanted struct {
	next     cache.Ino
	end      context.CancelFunc
	finished bool // who plays has read to the end, or nearly
}

// playing looks who plays, and has the next track fetched before it is asked for.
func (s *Stock) playing(ctx context.Context) {
	jobs := map[cache.Ino]*wanted{} // by what is played
	var last cache.Ino
	tick := time.NewTicker(lookPlay)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			readers := s.c.Readers()
			giveUp(jobs, readers, now)
			for _, r := range readers {
				if jobs[r.Ino] != nil || !r.Plays(now) || s.c.Room() == 0 {
					continue
				}
				next, err := s.nextOf(ctx, r.Ino, last)
				last = r.Ino
				job, end := context.WithCancel(ctx)
				jobs[r.Ino] = &wanted{next: next, end: end}
				if err != nil || next == 0 {
					continue
				}
				go func() {
					if err := s.c.Fetch(job, next, -1); err != nil && job.Err() == nil {
						s.log.Debug("the next track was not fetched", "ino", next, "err", err)
					}
				}()
			}
		}
	}
}

// giveUp ends what is fetched for who went elsewhere: closed the track before its end,
// or closed it and plays another than the next.
func giveUp(jobs map[cache.Ino]*wanted, readers []cache.Reader, now time.Time) {
	for ino, job := range jobs {
		open, elsewhere := false, false
		for _, r := range readers {
			switch r.Ino {
			case ino:
				open = true
				job.finished = job.finished || r.Read >= r.Size-r.Size/8
			case job.next:
			default:
				elsewhere = elsewhere || !r.Whole && r.Read > 0 || r.Plays(now)
			}
		}
		if !open && (!job.finished || elsewhere) {
			job.end()
			delete(jobs, ino)
		}
	}
}

// nextOf is the track behind one: in the playlist in which the one played before
// stands just before it, else in its folder, by name. 0 if there is none.
func (s *Stock) nextOf(ctx context.Context, ino, before cache.Ino) (cache.Ino, error) {
	if !s.isMusic(ino) {
		return 0, nil
	}
	names, err := s.c.Where(ino)
	if err != nil || len(names) == 0 {
		return 0, err
	}
	if before != 0 {
		if next, err := s.nextInLists(ctx, before, ino, names[0].Parent); err != nil || next != 0 {
			return next, err
		}
	}
	list, err := s.c.List(names[0].Parent)
	if err != nil {
		return 0, err
	}
	slices.SortFunc(list, func(a, b cache.DirEntry) int { return strings.Compare(a.Name, b.Name) })
	for _, e := range list {
		if e.Name > names[0].Name && s.isMusic(e.Ino) {
			return e.Ino, nil
		}
	}
	return 0, nil
}

// isMusic tells whether a file was cut as a track.
func (s *Stock) isMusic(ino cache.Ino) bool {
	r, _, err := s.c.RecipeOf(ino)
	return err == nil && slices.ContainsFunc(r.Parts, func(p cache.Part) bool { return p.Kind == "audio" })
}

const (
	mostLists = 200     // playlists that are looked at
	mostList  = 1 << 20 // bytes of one
)

// nextInLists looks for two tracks one behind the other in the playlists of the drive,
// those beside the track first.
func (s *Stock) nextInLists(ctx context.Context, before, ino, beside cache.Ino) (cache.Ino, error) {
	var lists []cache.NameRow
	err := s.c.Names(func(n cache.NameRow) {
		if !isPlaylist(n.Name) {
			return
		}
		if n.Parent == beside {
			lists = slices.Insert(lists, 0, n)
		} else {
			lists = append(lists, n)
		}
	})
	if err != nil {
		return 0, err
	}
	for _, n := range lists[:min(len(lists), mostLists)] {
		inos, err := s.readPlaylist(ctx, n)
		if err != nil {
			continue // it cannot be read now; there are others
		}
		for i := 0; i+2 < len(inos); i++ {
			if inos[i] == before && inos[i+1] == ino {
				return inos[i+2], nil
			}
		}
	}
	return 0, nil
}

func isPlaylist(name string) bool {
	ext := strings.ToLower(path.Ext(name))
	return ext == ".m3u" || ext == ".m3u8"
}

// readPlaylist finds the files that a playlist names, by paths from its folder on, or
// from the top of the drive, whatever it is mounted at.
func (s *Stock) readPlaylist(ctx context.Context, n cache.NameRow) (inos []cache.Ino, err error) {
	h, err := s.c.OpenFile(n.Ino, cache.OpenFlags{Read: true, Ordinary: true, Quiet: true})
	if err != nil {
		return nil, err
	}
	defer h.Release()
	text := make([]byte, mostList)
	k, err := h.ReadAt(ctx, text, 0)
	if err != nil {
		return nil, err
	}
	if text = text[:k]; !utf8.Valid(text) {
		if text, err = charmap.Windows1252.NewDecoder().Bytes(text); err != nil {
			return nil, err
		}
	}
	lines := bufio.NewScanner(strings.NewReader(strings.TrimPrefix(string(text), "\ufeff")))
	lines.Buffer(nil, mostList)
	for lines.Scan() {
		line := strings.TrimSpace(strings.ReplaceAll(lines.Text(), `\`, "/"))
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if ino := s.named(n.Parent, line); ino != 0 {
			inos = append(inos, ino)
		}
	}
	if err := lines.Err(); err != nil && err != io.EOF {
		return nil, err
	}
	return inos, nil
}

// named finds what a line of a playlist names; 0 if that is no file of the drive. Of
// an absolute path, which begins wherever the drive was when the list was written, the
// longest end counts that there is.
func (s *Stock) named(dir cache.Ino, line string) cache.Ino {
	if !strings.HasPrefix(line, "/") {
		return s.walk(dir, line)
	}
	for rest := line[1:]; ; {
		if ino := s.walk(cache.Root, rest); ino != 0 {
			return ino
		}
		_, after, more := strings.Cut(rest, "/")
		if !more {
			return 0
		}
		rest = after
	}
}

func (s *Stock) walk(dir cache.Ino, rel string) cache.Ino {
	at := dir
	for _, name := range strings.Split(rel, "/") {
		switch name {
		case "", ".":
			continue
		case "..":
			up, err := s.c.Parent(at)
			if err != nil {
				return 0
			}
			at = up
			continue
		}
		a, err := s.c.Lookup(at, name)
		if err != nil {
			return 0
		}
		at = a.Ino
	}
	if kind, err := s.c.Type(at); err != nil || kind != unix.S_IFREG {
		return 0
	}
	return at
}
