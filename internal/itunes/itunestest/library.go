// Package itunestest writes libraries as iTunes 12 and Music do (Apple's
// PropertyList-1.0.dtd), of any size, for tests.
package itunestest

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"
)

// Tracks is a library to be written. Its fields may be changed before.
type Tracks struct {
	Folder string // the music folder's URL, with a slash at its end
	Tracks []Track
	Lists  []List
}

// Track is a track; a Location without a scheme is below Folder.
type Track struct {
	ID                            int
	Name, Artist, Album, Location string
	Seconds, Rating, Plays        int
	Computed, Purchased           bool
}

// List is a playlist. Its items are indices of tracks.
type List struct {
	Name, ID, Parent string
	Folder, Master   bool
	Smart            bool
	Kind             int
	Items            []int
}

// Library makes a library of n tracks, with the list of them all, a folder, a
// playlist in it, a smart one, and one of what was bought.
func Library(n int) *Tracks {
	l := &Tracks{Folder: "file://localhost/Users/jean/Music/iTunes/iTunes%20Media/Music/"}
	every := func(k int) (items []int) {
		for i := 0; i < n; i += k {
			items = append(items, i)
		}
		return items
	}
	for i := range n {
		artist, album := fmt.Sprintf("Artist %d", i/100), fmt.Sprintf("Björk & Album %d", i/10)
		l.Tracks = append(l.Tracks, Track{
			ID: 1000 + 2*i, Name: fmt.Sprintf("Track %d", i), Artist: artist, Album: album,
			Location: fmt.Sprintf("%s/%s/%02d Track %d.mp3", artist, album, i%10+1, i),
			Seconds:  200 + i%90, Plays: i % 23, Rating: i % 6 * 20, Computed: i%6 == 4, Purchased: i%11 == 0,
		})
	}
	l.Lists = []List{
		{Name: "Library", ID: "A000000000000000", Master: true, Items: every(1)},
		{Name: "Music", ID: "A000000000000001", Kind: 4, Items: every(1)},
		{Name: "Purchased", ID: "A000000000000002", Kind: 19, Items: every(11)},
		{Name: "Moods", ID: "A000000000000003", Folder: true, Items: every(7)},
		{Name: "Sunday/Evening", ID: "A000000000000004", Parent: "A000000000000003", Items: every(7)},
		{Name: "My Top Rated", ID: "A000000000000005", Smart: true, Items: every(6)},
	}
	return l
}

// Escape escapes a slash-separated path as iTunes does: each byte that is no
// letter, digit or one of a few signs.
func Escape(p string) string {
	parts := strings.Split(p, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return strings.Join(parts, "/")
}

// Write writes the library.
func (l *Tracks) Write(to io.Writer) error {
	w := &writer{Writer: bufio.NewWriterSize(to, 64<<10)}
	w.line(0, `<?xml version="1.0" encoding="UTF-8"?>`)
	w.line(0, `<!DOCTYPE plist PUBLIC "-//Apple Computer//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">`)
	w.line(0, `<plist version="1.0">`)
	w.line(0, `<dict>`)
	w.number(1, "Major Version", 1)
	w.number(1, "Minor Version", 1)
	w.date(1, "Date", 0)
	w.text(1, "Application Version", "12.9.5.5")
	w.number(1, "Features", 5)
	w.truth(1, "Show Content Ratings", true)
	w.text(1, "Music Folder", l.Folder)
	w.text(1, "Library Persistent ID", "B0B1C2D3E4F50617")
	w.line(1, `<key>Tracks</key>`)
	w.line(1, `<dict>`)
	for i, t := range l.Tracks {
		w.line(2, fmt.Sprintf("<key>%d</key>", t.ID))
		w.track(l.Folder, i, t)
	}
	w.line(1, `</dict>`)
	w.line(1, `<key>Playlists</key>`)
	w.line(1, `<array>`)
	for i, p := range l.Lists {
		w.list(l.Tracks, i, p)
	}
	w.line(1, `</array>`)
	w.line(0, `</dict>`)
	w.line(0, `</plist>`)
	return w.Flush()
}

// writer writes elements as Apple indents them. A bufio.Writer keeps its error.
type writer struct{ *bufio.Writer }

func (w *writer) line(depth int, s string) {
	w.WriteString(strings.Repeat("\t", depth) + s + "\n")
}

func (w *writer) number(depth int, key string, v int) {
	w.line(depth, fmt.Sprintf("<key>%s</key><integer>%d</integer>", key, v))
}

func (w *writer) text(depth int, key, v string) {
	var b strings.Builder
	xml.EscapeText(&b, []byte(v))
	w.line(depth, "<key>"+key+"</key><string>"+b.String()+"</string>")
}

func (w *writer) truth(depth int, key string, v bool) {
	if v {
		w.line(depth, "<key>"+key+"</key><true/>")
	}
}

func (w *writer) date(depth int, key string, hours int) {
	at := time.Date(2009, 3, 1, 20, 15, 30, 0, time.UTC).Add(time.Duration(hours) * time.Hour)
	w.line(depth, "<key>"+key+"</key><date>"+at.Format(time.RFC3339)+"</date>")
}

func (w *writer) track(folder string, i int, t Track) {
	w.line(2, `<dict>`)
	w.number(3, "Track ID", t.ID)
	w.text(3, "Name", t.Name)
	w.text(3, "Artist", t.Artist)
	w.text(3, "Album", t.Album)
	w.text(3, "Genre", "Classical")
	w.text(3, "Kind", "MPEG audio file")
	w.number(3, "Size", 4_000_000+i)
	w.number(3, "Total Time", t.Seconds*1000+i%1000)
	w.number(3, "Track Number", i%10+1)
	w.number(3, "Year", 1998)
	w.date(3, "Date Modified", i)
	w.date(3, "Date Added", i)
	w.number(3, "Bit Rate", 256)
	w.number(3, "Sample Rate", 44100)
	if t.Plays > 0 {
		w.number(3, "Play Count", t.Plays)
		w.number(3, "Play Date", 3_400_000_000+i)
		w.date(3, "Play Date UTC", 7*i)
	}
	if t.Rating > 0 {
		w.number(3, "Rating", t.Rating)
		w.truth(3, "Rating Computed", t.Computed)
	}
	w.text(3, "Persistent ID", fmt.Sprintf("C%015X", i))
	w.truth(3, "Purchased", t.Purchased)
	if t.Location == "" {
		w.text(3, "Track Type", "Remote")
	} else {
		w.text(3, "Track Type", "File")
		at := t.Location
		if !strings.Contains(at, "://") {
			at = folder + Escape(at)
		}
		w.text(3, "Location", at)
	}
	w.number(3, "File Folder Count", 5)
	w.number(3, "Library Folder Count", 1)
	w.line(2, `</dict>`)
}

func (w *writer) list(tracks []Track, i int, p List) {
	w.line(2, `<dict>`)
	w.truth(3, "Master", p.Master)
	w.number(3, "Playlist ID", 500_000+i)
	w.text(3, "Playlist Persistent ID", p.ID)
	if p.Parent != "" {
		w.text(3, "Parent Persistent ID", p.Parent)
	}
	if p.Kind != 0 {
		w.number(3, "Distinguished Kind", p.Kind)
	}
	w.truth(3, "Folder", p.Folder)
	if p.Smart {
		w.line(3, "<key>Smart Info</key>\n\t\t\t<data>\n\t\t\tAQEAAwAAAAIAAAAZAAAAAAAAAAcAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n\t\t\t</data>")
	}
	w.truth(3, "All Items", true)
	w.text(3, "Name", p.Name)
	w.line(3, `<key>Playlist Items</key>`)
	w.line(3, `<array>`)
	for _, k := range p.Items {
		w.line(4, `<dict>`)
		w.number(5, "Track ID", tracks[k].ID)
		w.line(4, `</dict>`)
	}
	w.line(3, `</array>`)
	w.line(2, `</dict>`)
}
