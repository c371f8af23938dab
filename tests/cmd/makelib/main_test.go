package main

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/tunesafe/tunesafe/tests/musiclib"
	"github.com/tunesafe/tunesafe/tests/tools"
)

func TestRun(t *testing.T) {
	tools.Need(t, musiclib.Tools...)
	dir := t.TempDir()
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"-plain", "-albums", "2", "-tracks", "3", "-mb", "0.5", dir}, &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	var made struct{ Tracks, Files int }
	if err := json.Unmarshal(stdout.Bytes(), &made); err != nil || made.Tracks != 6 || made.Files != 7 {
		t.Errorf("%s: %v", stdout.String(), err)
	}
	if n := len(tools.Tracks(t, dir)); n != 6 {
		t.Errorf("%d tracks", n)
	}
	for _, args := range [][]string{{}, {"-preset", "none", dir}, {"-what", dir}} {
		if code := run(t.Context(), args, &stdout, &stderr); code != 2 {
			t.Errorf("%q: exit code %d, want 2", args, code)
		}
	}
}
