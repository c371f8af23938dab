package budget

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/tests/tools"
)

// guard is a test that holds figures to their budgets.
type guard struct{ tests, in string }

var (
	allocated = guard{"^TestAllocations", "./tests/budget"}
	compared  = guard{"^TestQuick$", "./tests/cmd/bench"}
	executed  = guard{"^TestInstructions$", "./tests/cmd/bench"}
)

// doubling is a slip in the program that costs at least as much again.
type doubling struct {
	kind string // of cost
	guard
	file, text, by string   // a text of a file of the program, and what stands there with the slip
	figures        []string // that tell of it, each by the beginning of its line
}

// doublings are slips as they happen, at least one for each kind of cost. With a slip the
// program does what it shall, so that nothing but its cost tells of it.
var doublings = []doubling{
	{
		"allocations", allocated, "cache/look.go", // a listing asks for more than it shows
		"		e.Mode, err = c.Type(e.Ino)\n", "		a, err := c.Attr(e.Ino)\n		e.Mode = a.Mode & unix.S_IFMT\n",
		[]string{"allocations: list 100 names"},
	},
	{
		"requests", compared, "sync/put.go", // an upload is made sure of
		"	crashpoint.At(\"object.put\")\n",
		"	if err := w.send(ctx, s.Name, s.Body); err != nil {\n\t\treturn err\n\t}\n",
		[]string{"quick: first backup, PUTs", "quick: library copied onto the drive until it is safe, requests"},
	},
	{
		"requests", compared, "internal/store/s3/s3.go", // what is read is looked at before
		"	in := &s3.GetObjectInput{",
		"	if _, err := s.stat(ctx, key); err != nil {\n\t\treturn nil, err\n\t}\n	in := &s3.GetObjectInput{",
		[]string{"quick: whole restore, requests"},
	},
	{
		"bytes up", compared, "internal/repo/limits.go", // sizes tell less
		"padTo      = 16 << 10", "padTo      = 2 << 20",
		[]string{"quick: first backup, MB up"},
	},
	{
		"bytes up", compared, "sync/packs.go", // what the bucket has goes up again
		"	_, ok, err := w.o.Index.Lookup(id)\n	if err != nil || ok {", "	_, _, err := w.o.Index.Lookup(id)\n	if err != nil {",
		[]string{"quick: 36 tracks retagged, bytes up a track"},
	},
	{
		"bytes down", compared, "internal/store/s3/s3.go", // what is read is read once more
		"	out, err := s.client.GetObject(opctx, in)\n	if err != nil {\n		return nil, translate(ctx, err)\n	}\n	return newBody",
		"	out, err := s.client.GetObject(opctx, in)\n	if err == nil {\n		_, _ = io.Copy(io.Discard, out.Body)\n		out, err = s.client.GetObject(opctx, in)\n	}\n" +
			"	if err != nil {\n		return nil, translate(ctx, err)\n	}\n	return newBody",
		[]string{"quick: cold scan, MB down", "quick: whole restore, MB down"},
	},
	{
		"memory", compared, "internal/repo/seal.go", // what was sent is kept
		"func (s *Sealed) Release() {\n	bodies.release(s.Body)", "var sent [][]byte\n\nfunc (s *Sealed) Release() {\n	sent = append(sent, s.Body)",
		[]string{"quick: first backup, MB of its own memory"},
	},
	{
		"instructions", executed, "internal/repo/seal.go", // what is sealed is summed by pieces, from the beginning on
		"	w.chunk(w.open, true)\n", "	w.chunk(w.open, true)\n	for n := len(w.body) / 8; n < len(w.body); n += len(w.body) / 8 {\n		sha256.Sum256(w.body[:n])\n	}\n",
		[]string{"quick: first backup, millions of instructions"},
	},
}

// Of what a change of the program makes to cost twice as much, a guard tells: as the
// program is it passes, and with a slip it fails and says which figure grew. CI tries
// what takes seconds.
func TestDoubling(t *testing.T) {
	passes := map[guard]bool{}
	for _, d := range doublings {
		if d.guard != allocated && tools.Tier() == "ci" {
			continue
		}
		t.Run(d.kind+" by "+strings.ReplaceAll(d.file, "/", "."), func(t *testing.T) {
			overlay := d.overlay(t)
			if !passes[d.guard] {
				if out, err := d.run(t, ""); err != nil {
					t.Fatalf("the guard fails without a slip: %v\n%s", err, out)
				}
				passes[d.guard] = true
			}
			out, err := d.run(t, overlay)
			if err == nil {
				t.Fatalf("the guard passes\n%s", out)
			}
			for _, figure := range d.figures {
				if line := lineOf(out, figure+": "); line == "" {
					t.Errorf("nothing is said of %q\n%s", figure, out)
				} else {
					t.Logf("figure: %s: %s", d.file, line)
				}
			}
		})
	}
}

// overlay is the file by which go builds the program with the slip.
func (d *doubling) overlay(t *testing.T) string {
	t.Helper()
	file, err := filepath.Abs(filepath.Join(here(), "..", "..", d.file))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), d.text); n != 1 {
		t.Fatalf("%s has this text %d times, want once: choose another for the slip\n%s", d.file, n, d.text)
	}
	dir := t.TempDir()
	slip, overlay := filepath.Join(dir, filepath.Base(file)), filepath.Join(dir, "overlay.json")
	list, err := json.Marshal(map[string]any{"Replace": map[string]string{file: slip}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(slip, []byte(strings.Replace(string(text), d.text, d.by, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(overlay, list, 0o644); err != nil {
		t.Fatal(err)
	}
	return overlay
}

// run runs the guard, of the program built with an overlay unless that is "".
func (g guard) run(t *testing.T, overlay string) (output string, err error) {
	t.Helper()
	began := time.Now()
	cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-vet=off", "-run", g.tests, g.in)
	cmd.Dir = filepath.Join(here(), "..", "..")
	// A guard builds the program by itself, as GOFLAGS tells.
	cmd.Env = append(os.Environ(), "TUNESAFE_PROGRAM=", "TUNESAFE_BUDGET=")
	if overlay != "" {
		cmd.Env = append(cmd.Env, "GOFLAGS="+os.Getenv("GOFLAGS")+" -overlay="+overlay)
	}
	out, err := cmd.CombinedOutput()
	t.Logf("%s, overlay %q: %.0f s", g.tests, overlay, time.Since(began).Seconds())
	return string(out), err
}

// lineOf is the rest of the first line in which begin stands, from there on.
func lineOf(out, begin string) string {
	_, rest, found := strings.Cut(out, begin)
	if !found {
		return ""
	}
	line, _, _ := strings.Cut(rest, "\n")
	return begin + line
}
