package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tunesafe/tunesafe/internal/split"
	"github.com/tunesafe/tunesafe/tests/musiclib"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// libraryName is the folder of the music, as programs see it.
const libraryName = "Music"

// library is what programs work on: made once, copied for each.
type library struct {
	dir string
	musiclib.Summary
	sound, pictures int64 // bytes of sound, and of each picture once
}

func (l *lab) library(ctx context.Context, name string, o musiclib.Options) (*library, error) {
	lib := &library{dir: filepath.Join(l.dir, "libraries", name, libraryName)}
	var err error
	lib.Summary, err = musiclib.Make(ctx, lib.dir, o)
	return lib, err
}

// weigh counts what the library holds but once.
func (lib *library) weigh() error {
	seen := map[[32]byte]bool{}
	for _, t := range lib.Tracks {
		b, err := os.ReadFile(filepath.Join(lib.dir, t.Path))
		if err != nil {
			return err
		}
		cut, err := split.Split(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return err
		}
		for i, kind := range cut.Parts {
			switch kind {
			case split.Audio, split.Probe:
				lib.sound += cut.PartSize(i)
			case split.Art:
				h := sha256.New()
				for at, n := range cut.Extents(i) {
					h.Write(b[at : at+n])
				}
				if sum := [32]byte(h.Sum(nil)); !seen[sum] {
					seen[sum] = true
					lib.pictures += cut.PartSize(i)
				}
			}
		}
	}
	return nil
}

func copyTree(ctx context.Context, from, to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	return command(ctx, "cp", "-a", from+"/.", to)
}

// edit has mutagen change the artist of at most so many tracks, in place, and
// returns their paths.
func edit(ctx context.Context, root string, files []string, from, to string, limit int) (edited []string, err error) {
	err = tags(ctx, "retag", map[string]any{"root": root, "files": files, "from": from, "to": to, "limit": limit, "copy": false}, &edited)
	return edited, err
}

func tags(ctx context.Context, verb string, job map[string]any, answer any) error {
	in, err := json.Marshal(job)
	if err != nil {
		return err
	}
	cmd := tools.TagsCommand(ctx, verb)
	cmd.Stdin = bytes.NewReader(in)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("mutagen: %w\n%s", err, tail(stderr.String()))
	}
	return json.Unmarshal(out, answer)
}

// paths lists the tracks in the order in which a player walks.
func (lib *library) paths() []string {
	var p []string
	for _, t := range lib.Tracks {
		p = append(p, t.Path)
	}
	slices.Sort(p)
	return p
}

// longTracks are two MP3s of about 10 MB, or as near as there are, of different albums.
func (lib *library) longTracks() (a, b musiclib.Track) {
	const like = 10e6
	t := slices.Clone(lib.Tracks)
	t = slices.DeleteFunc(t, func(t musiclib.Track) bool { return t.Kind != musiclib.MP3 })
	slices.SortStableFunc(t, func(x, y musiclib.Track) int {
		return int(max(like-x.Size, x.Size-like) - max(like-y.Size, y.Size-like))
	})
	i := slices.IndexFunc(t, func(x musiclib.Track) bool { return path.Dir(x.Path) != path.Dir(t[0].Path) })
	return t[0], t[max(i, 0)]
}

// restoredWhole compares the files of a folder with those that were restored of it,
// among which there may be others: playlists, say.
func restoredWhole(ctx context.Context, src, dest string) error {
	out, err := exec.CommandContext(ctx, "diff", "-rq", "--no-dereference", src, dest).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		return fmt.Errorf("diff: %w\n%s", err, tail(string(out)))
	}
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, "Only in "+dest) {
			return fmt.Errorf("not restored as it was: %s", line)
		}
	}
	return nil
}

// addAlbum copies an album in under another name, with sound of its own.
func addAlbum(from, root string, tracks int) error {
	n := 0
	return filepath.WalkDir(from, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(p, ".mp3") || n == tracks {
			return err
		}
		n++
		to := filepath.Join(root, "A New Artist", "A New Album", filepath.Base(p))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		in, err := os.Open(p)
		if err != nil {
			return err
		}
		defer in.Close()
		out, err := os.Create(to)
		if err != nil {
			return err
		}
		if _, err := io.Copy(out, in); err != nil {
			out.Close()
			return err
		}
		return out.Close()
	})
}
