package itunes

import (
	"bytes"
	"fmt"
	"path"
	"strings"
	"unicode/utf8"
)

// name gives each playlist with tracks in the folder a path of its own.
func (s *surveyor) name() {
	taken := map[string]bool{}
	for _, l := range s.lists {
		var tracks []ListTrack
		for _, id := range l.Items {
			if t, ok := s.known[id]; ok && !strings.ContainsAny(t.Path, "\r\n") { // a line holds no line break
				tracks = append(tracks, t)
			}
		}
		if len(tracks) == 0 {
			continue
		}
		p := path.Join(s.parents(l.Parent), safeName(l.Name))
		unique := p
		for n := 2; taken[fold(unique)]; n++ {
			unique = fmt.Sprintf("%s %d", p, n)
		}
		taken[fold(unique)] = true
		s.Lists = append(s.Lists, List{Path: unique, Tracks: tracks})
	}
}

// parents returns the path of a folder of playlists.
func (s *surveyor) parents(id string) string {
	p := ""
	for range 16 { // more is a circle
		f, ok := s.names[id]
		if !ok {
			break
		}
		p, id = path.Join(safeName(f.Name), p), f.Parent
	}
	return p
}

// maxName is the longest name of a playlist's file in bytes: a name has 255, and
// there are a number and an extension to come.
const maxName = 200

// safeName makes a name that every system takes: without the signs that one of
// them refuses, without dots and spaces at its ends, and not too long.
func safeName(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7F || strings.ContainsRune(`/\:*?"<>|`, r) || r == utf8.RuneError {
			return '_'
		}
		return r
	}, s)
	for len(s) > maxName {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	if s = strings.Trim(s, ". "); s == "" {
		return "Untitled"
	}
	return s
}

// M3U returns the list as a player reads it (RFC 8216 §4 calls it extended M3U):
// UTF-8, paths relative to where it lies, which is depth folders below the one
// that the tracks are in.
func (l List) M3U(depth int) []byte {
	var b bytes.Buffer
	b.WriteString("#EXTM3U\n#PLAYLIST:" + oneLine(path.Base(l.Path)) + "\n")
	up := strings.Repeat("../", depth)
	for _, t := range l.Tracks {
		seconds := t.Seconds
		if seconds == 0 {
			seconds = -1 // not known
		}
		fmt.Fprintf(&b, "#EXTINF:%d,%s\n%s%s\n", seconds, oneLine(t.Title), up, t.Path)
	}
	return b.Bytes()
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
