// Peers backs a folder up with Tunesafe, restic and rclone in one run, against
// the same S3 server behind a counting proxy, and prints a table:
//
//	go run ./tests/cmd/peers -program bin/tunesafe
//
// The works are a first backup, one in which nothing changed, and one after the
// artist of some tracks was corrected by a real tagger. A tool that is not in
// $PATH is left out, and said to be. Times count as ratios within a row: beside
// them stands what the machine needs for a walk over the tree.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/tunesafe/tunesafe/tests/musiclib"
	"github.com/tunesafe/tunesafe/tests/s3proxy"
)

// options are the flags.
type options struct {
	program, server, dir string
	albums, tracks       int   // of an album
	mega                 int64 // of the library
	percent              int   // of the tracks, retagged
	seed                 uint64
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var o options
	f := flag.NewFlagSet("peers", flag.ContinueOnError)
	f.StringVar(&o.program, "program", "bin/tunesafe", "the program to measure")
	f.StringVar(&o.server, "server", ".bin/versitygw", "the S3 server, a versitygw")
	f.StringVar(&o.dir, "dir", "", "where to work; default a new folder below the temporary one")
	f.IntVar(&o.albums, "albums", 2300, "albums of the library")
	f.IntVar(&o.tracks, "tracks", 10, "tracks of an album")
	f.Int64Var(&o.mega, "mb", 2000, "size of the library, in megabytes")
	f.IntVar(&o.percent, "percent", 1, "how many of a hundred tracks are retagged")
	f.Uint64Var(&o.seed, "seed", 1, "another seed makes another library")
	if err := f.Parse(args); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(o.dir, "tunesafe-peers-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	return compare(ctx, o, dir, out)
}

// compare makes the library, starts the server, and lets the tools take turns.
func compare(ctx context.Context, o options, dir string, out io.Writer) error {
	library := filepath.Join(dir, "Music")
	lib, err := musiclib.Make(ctx, library, musiclib.Options{
		Albums: o.albums, TracksPerAlbum: o.tracks, TotalBytes: o.mega * 1e6, ArtBytes: [2]int{2 << 10, 4 << 10}, Seed: o.seed, Plain: true,
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "library: %d tracks, %d MB, seed %d\n", len(lib.Tracks), lib.Bytes/1e6, o.seed)
	server, err := startServer(ctx, o.server, filepath.Join(dir, "server"))
	if err != nil {
		return err
	}
	defer server.stop()
	proxy, err := s3proxy.Listen("127.0.0.1:0", server.url)
	if err != nil {
		return err
	}
	defer proxy.Close()

	tools, err := ready(ctx, o, dir, proxy.URL, out)
	if err != nil {
		return err
	}
	t := &table{w: out, tracks: max(1, len(lib.Tracks)*o.percent/100)}
	works := []struct {
		name    string
		prepare func() error
	}{
		{"first backup", nil},
		{"nothing changed", nil},
		{"retagged", func() error { return retag(ctx, library, lib.Tracks[:t.tracks]) }},
	}
	for _, w := range works {
		if w.prepare != nil {
			if err := w.prepare(); err != nil {
				return err
			}
		}
		walk, err := walkTime(ctx, library)
		if err != nil {
			return err
		}
		t.head(w.name, walk)
		for _, tool := range tools {
			r, err := measure(ctx, tool.backup(library), tool, proxy)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", tool.name, w.name, err)
			}
			t.row(tool.name, r)
		}
		t.verdicts(w.name, walk)
	}
	return nil
}

// retag corrects the artist of the tracks in place, as people do.
func retag(ctx context.Context, library string, tracks []musiclib.Track) error {
	const script = `
import sys, mutagen
for name in sys.stdin.read().split("\0"):
    f = mutagen.File(name, easy=True)
    f["artist"] = ["Sibelius"]
    f.save()
`
	cmd := exec.CommandContext(ctx, "/usr/bin/python3", "-c", script)
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	for i, t := range tracks {
		if i > 0 {
			fmt.Fprint(in, "\x00")
		}
		fmt.Fprint(in, filepath.Join(library, t.Path))
	}
	in.Close()
	return cmd.Wait()
}
