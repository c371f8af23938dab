package main

import (
	"bytes"
	"encoding/xml"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

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
	if err := os.WriteFile(file, []byte("# Kept above\n\n"+fromHere+"\nold\n"+toHere+"\nkept below\n"+growthFrom+"\nold\n"+growthTo+"\nthe last\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	l, err := run(t.Context(), []string{"-quick", "-program", program.Program(t), "-server", gateway, "-dir", dir, "-to", file,
		"-peers", own + "," + rawName + "," + sealedName, "-only", "^(backup|drive|line|tiny|kinds|scale)$|read a cached file"}, &out)
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
		"100 tiny tracks, mounted and ls -lR, requests", "| mp3, bytes a track | **", "| ogg, bytes a track | **", "| read a cached file again, ms | **",
		"| first backup, checkpoints made | 0 | 0 |", "| checkpoint made, requests | 4 | 4 | 0.00 |", "| ls -lR, cold, requests | 0 | 0 |", "| a search, wall, s |", "the last"} {
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
	heldWithin(t, l.spent)
	if svg, err := os.ReadFile(filepath.Join(dir, growthPlot)); err != nil || xml.Unmarshal(svg, new(struct{})) != nil || strings.Count(string(svg), "<polyline") < 15 {
		t.Errorf("the plot: %v\n%s", err, svg)
	}
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

// heldWithin holds works to what they took of the line, and of memory that the process has
// of its own, at its most.
func heldWithin(t *testing.T, spent map[string]cost) {
	for work, c := range spent {
		for what, figure := range map[string]float64{
			"MB of its own memory": c.own, "requests": float64(c.Requests), "PUTs": c.puts(),
			"MB up": max(someAnswers, float64(c.Up)/1e6), "MB down": max(someAnswers, float64(c.Down)/1e6),
		} {
			budget.Check(t, "quick: "+work+", "+what, figure)
		}
	}
}

// someAnswers are as many megabytes as an answer more or less is no news.
const someAnswers = 0.01

// The instructions of a first backup, an unchanged run and a restore: by the processor's
// counter, or in an emulator where it has none.
func TestInstructions(t *testing.T) {
	tools.Need(t, musiclib.Tools...)
	gateway, tunesafe := realserver.Built(t, "versitygw"), program.Program(t)
	var emulated *budget.Emulated
	if err := budget.NoInstructions(); err != nil {
		if emulated = budget.Emulate(t, tunesafe); emulated == nil {
			t.Logf("figure: no instructions are counted on this machine: %v", err)
			return
		}
		tunesafe = emulated.Program
		t.Logf("figure: instructions are counted by an emulator: %v", err)
	}
	o, err := parse([]string{"-quick", "-program", tunesafe, "-server", gateway, "-dir", t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	o.main.Albums, o.main.TotalBytes = o.main.Albums/3, o.main.TotalBytes/3 // an emulator takes its time
	l := &lab{options: o, log: t.Output(), sheet: &sheet{}}
	if l.server, err = startServer(t.Context(), l.gateway, filepath.Join(l.dir, "server")); err != nil {
		t.Fatal(err)
	}
	defer l.server.stop()
	lib, err := l.library(t.Context(), "main", l.main)
	if err != nil {
		t.Fatal(err)
	}
	p, err := l.enter(t.Context(), makers()[0], "instructions")
	if err != nil {
		t.Fatal(err)
	}
	count := func(work string, args []string) {
		c, err := l.measure(t.Context(), p, args)
		if err != nil {
			t.Fatal(err)
		}
		if emulated != nil {
			n, err := emulated.Count()
			if err != nil {
				t.Fatal(err)
			}
			c.executed = n / 1e6
		}
		budget.Check(t, "quick: "+work+", millions of instructions", c.executed)
	}
	ready := func(err error) { // what was executed to get here is not counted
		if err == nil && emulated != nil {
			_, err = emulated.Count()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	// An hour old: a backup looks at what was written just now again and again until it rests.
	then := time.Now().Add(-time.Hour)
	for _, track := range lib.Tracks {
		if err := os.Chtimes(filepath.Join(lib.dir, track.Path), then, then); err != nil {
			t.Fatal(err)
		}
	}
	ready(nil)
	count("first backup", p.backup(lib.dir))
	count("unchanged run", p.backup(lib.dir))
	ready(p.forget(t.Context()))
	args, err := p.restore(t.Context(), filepath.Join(p.dir, "restored"))
	if err != nil {
		t.Fatal(err)
	}
	count("whole restore", args)
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

// A figure that doubles with twice the tracks grows by the exponent 1; of what is nothing
// none is told.
func TestExponent(t *testing.T) {
	g := &growth{sizes: []int{100, 200, 800}, runs: map[int]string{100: "here", 200: "here", 800: "there"}}
	r := g.row("x", "s", 2)
	for tracks, v := range map[int]float64{100: 3, 200: 6, 800: 96} {
		r.add(tracks, v)
	}
	g.row("y", "", 0).add(100, 0)
	for _, want := range []string{"| x, s | 3.00 | 6.00 | 1.00 | 96.00 | 2.00 |\n", "| y | 0 |  |  |  |  |\n"} {
		if got := g.markdown(); !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	} // What is kept in a file is added to, and a size measured again replaces its figures.
	file := filepath.Join(t.TempDir(), growthFile)
	text, err := g.keep()
	if err == nil {
		err = os.WriteFile(file, text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	later, err := readGrowth(file, []int{200, 1600})
	if err != nil {
		t.Fatal(err)
	}
	later.row("x", "s", 2).add(1600, 3)
	if got, want := later.markdown(), "| x, s | 3.00 |  |  | 96.00 |  | 3.00 | -5.00 |\n"; !strings.Contains(got, want) || !slices.Equal(later.sizes, []int{100, 200, 800, 1600}) {
		t.Errorf("%v, no %q in\n%s", later.sizes, want, got)
	}
}

// A remark stands beside a work of any number of tracks.
func TestRemark(t *testing.T) {
	for _, row := range []string{"first backup, wall", "99 tracks retagged, memory", "8,000 tiny tracks, first backup, requests", "99 tracks retagged on a cold drive until safe, memory"} {
		if remark(row) == "" {
			t.Errorf("no remark beside %q", row)
		}
	}
	if got := remark("8,000 tiny tracks, unchanged run, wall"); got != "" {
		t.Errorf("a remark of another row: %q", got)
	}
}
