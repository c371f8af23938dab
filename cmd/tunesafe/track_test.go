package main

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
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
