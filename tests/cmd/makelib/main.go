// Makelib makes a music library to try things on:
//
//	go run ./tests/cmd/makelib -preset sample DIR
//
// Other flags change what the preset says. It prints a line of JSON about what
// it made.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/tunesafe/tunesafe/tests/musiclib"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("makelib", flag.ContinueOnError)
	fs.SetOutput(stderr)
	var (
		preset = fs.String("preset", "sample", fmt.Sprintf("what to make: one of %v", musiclib.Presets()))
		seed   = fs.Uint64("seed", 1, "another seed makes another library")
		albums = fs.Int("albums", 0, "number of albums")
		tracks = fs.Int("tracks", 0, "tracks of an album")
		size   = fs.Float64("mb", 0, "size of all, in megabytes")
		plain  = fs.Bool("plain", false, "MP3 only")
		xattrs = fs.Bool("xattrs", false, "set extended attributes")
		cache  = fs.String("cache", "", "directory for encoded streams")
	)
	if err := fs.Parse(args); err != nil {
		return 2
	}
	o, err := musiclib.Preset(*preset)
	if err != nil || fs.NArg() != 1 {
		fmt.Fprintln(stderr, "usage: makelib [flags] DIR")
		fs.PrintDefaults()
		return 2
	}
	o.Seed, o.Xattrs, o.CacheDir = *seed, *xattrs, *cache
	o.Plain = o.Plain || *plain
	if *albums > 0 {
		o.Albums = *albums
	}
	if *tracks > 0 {
		o.TracksPerAlbum = *tracks
	}
	if *size > 0 {
		o.TotalBytes = int64(*size * 1e6)
	}
	s, err := musiclib.Make(ctx, fs.Arg(0), o)
	if err != nil {
		fmt.Fprintln(stderr, "error:", err)
		return 1
	}
	err = json.NewEncoder(stdout).Encode(map[string]any{
		"dir": fs.Arg(0), "tracks": len(s.Tracks), "files": s.Files, "bytes": s.Bytes, "kinds": s.Kinds(),
	})
	if err != nil {
		fmt.Fprintln(stderr, "error:", err)
		return 1
	}
	return 0
}
