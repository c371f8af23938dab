package main

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tunesafe/tunesafe/internal/itunes/itunestest"
)

// makeTrack is "track FILE KEY=VALUE…": a FLAC file of ten seconds, whose sound
// is its name, with tags.
func makeTrack(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: track FILE KEY=VALUE…")
	}
	u32 := func(n int) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(n)) }
	comment := append(u32(0), u32(len(args)-1)...)
	for _, field := range args[1:] {
		comment = append(append(comment, u32(len(field))...), field...)
	}
	info := make([]byte, 34)
	binary.BigEndian.PutUint64(info[10:], 44100<<44|441000)
	b := append([]byte("fLaC\x00\x00\x00\x22"), info...)
	b = append(b, 0x84, 0, byte(len(comment)>>8), byte(len(comment)))
	b = append(append(b, comment...), "\xff\xf8"...)
	b = append(b, strings.Repeat(args[0], 100_000/len(args[0]))...)
	name := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(filepath.Dir(name), 0o755))
	ts.Check(os.WriteFile(name, b, 0o644))
}

// makeLibrary is "itunes FILE PATH…": a library of iTunes with a track at each
// path and a playlist of them all, as if it had been written an hour ago.
func makeLibrary(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: itunes FILE PATH…")
	}
	l := &itunestest.Tracks{Folder: "file://localhost/C:/Music/"}
	list := itunestest.List{Name: "All of it", ID: "A1"}
	for i, p := range args[1:] {
		if filepath.IsAbs(p) {
			p = "file://localhost" + itunestest.Escape(p)
		}
		l.Tracks = append(l.Tracks, itunestest.Track{ID: 100 + i, Name: "Track", Artist: "Artist", Album: "Album", Location: p, Seconds: 10, Plays: 3, Rating: 80})
		list.Items = append(list.Items, i)
	}
	l.Lists = []itunestest.List{list}
	name := ts.MkAbs(args[0])
	f, err := os.Create(name)
	ts.Check(err)
	ts.Check(l.Write(f))
	ts.Check(f.Close())
	old := time.Now().Add(-time.Hour)
	ts.Check(os.Chtimes(name, old, old))
}

// noteMoment is "moment NAME": $NAME becomes the time, to the millisecond.
func noteMoment(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: moment NAME")
	}
	time.Sleep(2 * time.Millisecond)
	ts.Setenv(args[0], time.Now().UTC().Format("2006-01-02T15:04:05.000Z"))
	time.Sleep(2 * time.Millisecond)
}
