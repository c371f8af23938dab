package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
	"github.com/tunesafe/tunesafe/tests/budget"
	program "github.com/tunesafe/tunesafe/tests/drive"
	"github.com/tunesafe/tunesafe/tests/musiclib"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// TestMain is also the processes that the runner starts of itself.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == serveLoopback || os.Args[1] == copyRaw) {
		main()
		return
	}
	os.Exit(program.Main(m))
}

// The runner goes through every scene and a work, writes its tables between the
// lines of the file that are its own, and leaves nothing mounted.
func TestQuick(t *testing.T) {
	program.NeedFUSE(t)
	tools.Need(t, append([]string{tools.Mutagen}, musiclib.Tools...)...)
	gateway := realserver.Built(t, "versitygw")
	dir := t.TempDir()
	file := filepath.Join(dir, "BENCHMARKS.md")
	if err := os.WriteFile(file, []byte("# Kept above\n\n"+fromHere+"\nold\n"+toHere+"\nkept below\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	l, err := run(t.Context(), []string{"-quick", "-program", program.Program(t), "-server", gateway, "-dir", dir, "-to", file,
		"-peers", own + "," + rawName, "-only", "^(backup|drive|line|tiny|kinds)$|read a cached file"}, &out)
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	tables := string(text)
	for _, want := range []string{"# Kept above", "kept below", "| first backup, wall, s | **", "| unchanged run, requests | **0** | ", "whole restore, memory at most",
		"| cold scan, requests for objects of sound | **0** |", "play, cold", "retagged on a cold drive, MB down", "over what its bytes need",
		"100 tiny tracks, mounted and ls -lR, requests", "| mp3, bytes a track | **", "| ogg, bytes a track | **", "| read a cached file again, ms | **"} {
		if !strings.Contains(tables, want) {
			t.Errorf("the tables lack %q", want)
		}
	}
	if strings.Contains(tables, "\nold\n") || strings.Contains(tables, "Failed:") {
		t.Error("something failed, or the old tables stayed")
	}
	if t.Failed() {
		t.Log(tables)
	}
	held(t, l.sheet)
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(mounts), dir) {
		t.Errorf("left mounted: %v\n%s", err, mounts)
	}
}

// held holds Tunesafe's requests and bytes to their budgets: all rows but those of
// time and memory, and of what is fetched while a player plays.
func held(t *testing.T, s *sheet) {
	for _, sec := range s.sections {
		for _, r := range sec.rows {
			if v := r.samples[own]; len(v) > 0 && (r.unit == "" || r.unit == "bytes a track") && !strings.HasPrefix(r.name, "…") {
				budget.Check(t, "quick: "+r.name, median(v))
			}
		}
	}
}

// A row says who is ahead: rivals count, limits do not, and what a rival could not do
// is no victory over Tunesafe.
func TestPlace(t *testing.T) {
	s := &section{columns: []string{own, "restic", "rclone", rawName}, limits: []string{rawName}}
	of := func(own float64, rivals ...float64) *row {
		r := s.row(strings.Repeat("x", len(s.rows)+1), "", 2, "")
		r.add(s.columns[0], own)
		for i, v := range rivals {
			if v >= 0 {
				r.add(s.columns[i+1], v)
			}
		}
		return r
	}
	for _, c := range []struct {
		row  *row
		want string
	}{
		{of(1, 2, 3, 0.1), "ahead"},
		{of(1, 0.99, 3), "ahead"}, // the same, within what a machine varies
		{of(3, 2, 1), "behind rclone, ×3.00"},
		{of(0, 0, 3), "ahead"},
		{of(2, 0, 3), "behind restic"},
		{of(2), ""},
		{of(2, -1, -1, 1), ""},
	} {
		if got := s.place(c.row); got != c.want {
			t.Errorf("%v: %q, want %q", c.row.samples, got, c.want)
		}
	}
	r := of(2, 5)
	r.add(own, 4)
	r.add(own, 3)
	if got := r.cell(own, own); got != "**3.00** (2.00–4.00)" {
		t.Error(got)
	}
	if got := r.cell("restic", own); got != "5.00 · ×1.67" {
		t.Error(got)
	}
	if got := figure(1234567.89, 1); got != "1,234,567.9" {
		t.Error(got)
	}
}
