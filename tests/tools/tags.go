package tools

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"io/fs"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

//go:embed tags.py
var tagsScript string

// Tags is what a player's library shows of a track.
type Tags struct {
	Title  string `json:"title"`
	Artist string `json:"artist"`
	Album  string `json:"album"`
	Art    string `json:"art"` // SHA-256 of the first picture, hexadecimal; empty without one
}

// ScanTags reads the tags of every track below root as a player does when it
// scans a library: in order of their paths, in one process. The keys are
// slash-separated paths relative to root. It needs mutagen.
func ScanTags(t testing.TB, root string) map[string]Tags {
	t.Helper()
	return scanFiles(t, root, Tracks(t, root))
}

// audioExts are the extensions of the formats that ScanTags reads.
var audioExts = []string{".mp3", ".m4a", ".m4b", ".flac", ".ogg", ".opus", ".wav",
	".wma", ".wv", ".tta", ".mpc", ".ape", ".ofr", ".tak", ".dsf", ".dff"}

// Tracks lists the music files below root, sorted, relative and
// slash-separated.
func Tracks(t testing.TB, root string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() || !slices.Contains(audioExts, strings.ToLower(path.Ext(p))) {
			return nil
		}
		rel, err := filepath.Rel(root, p)
		files = append(files, rel)
		return err
	})
	if err != nil {
		t.Fatalf("list %s: %v", root, err)
	}
	slices.Sort(files)
	return files
}

func scanFiles(t testing.TB, root string, files []string) map[string]Tags {
	t.Helper()
	tags := map[string]Tags{}
	runTags(t, "scan", map[string]any{"root": root, "files": files}, &tags)
	return tags
}

// TagsCommand is tags.py with a command, for programs that are no test.
func TagsCommand(ctx context.Context, command string) *exec.Cmd {
	return exec.CommandContext(ctx, python, "-c", tagsScript, command)
}

// runTags runs a command of tags.py on a job and reads its answer.
func runTags(t testing.TB, command string, job map[string]any, answer any) {
	t.Helper()
	Need(t, Mutagen)
	in, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	cmd := TagsCommand(t.Context(), command)
	cmd.Stdin = bytes.NewReader(in)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("mutagen: %s: %v\n%s", command, err, stderr.Bytes())
	}
	if err := json.Unmarshal(out, answer); err != nil {
		t.Fatalf("mutagen: %s: %v", command, err)
	}
}
