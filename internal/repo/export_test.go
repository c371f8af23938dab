package repo

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// recipe is the shell text of FORMAT.md that verifies an exported log.
func recipe(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := bytes.Cut(text, []byte("## 10."))
	_, text, ok2 := bytes.Cut(text, []byte("```sh\n"))
	text, _, ok3 := bytes.Cut(text, []byte("\n```\n"))
	if !ok || !ok2 || !ok3 {
		t.Fatal("FORMAT.md has no recipe")
	}
	return string(text)
}

// verifyExport follows the recipe as somebody does who has no Tunesafe.
func verifyExport(t *testing.T, script, root string, lines, signed []byte) error {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "the log")
	if err := os.WriteFile(file, lines, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file+".note", signed, 0o600); err != nil {
		t.Fatal(err)
	}
	sh := exec.Command("sh", "-c", script)
	sh.Dir, sh.Env = dir, append(os.Environ(), "FILE="+file, "ROOT="+root, "LC_ALL=C.UTF-8")
	out, err := sh.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func export(t *testing.T, l *library) (lines []byte, x *Exported) {
	t.Helper()
	var b bytes.Buffer
	x, err := ExportLog(t.Context(), l.st, l.k, l.d, time.Date(2026, 11, 22, 7, 0, 0, 0, time.UTC), &b)
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), x
}

// An exported log has a line for every object, and is verified by generic tools
// as FORMAT.md says, which notice each byte that changes.
func TestExport(t *testing.T) {
	for _, tool := range []string{"openssl", "sha256sum"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("TUNESAFE_REQUIRE_TOOLS") == "1" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
	l := newLibrary(t)
	another(l, &Commit{Time: l.clock})
	l.checkpoint(stateOf(5)) // names the objects of the first again
	l.commit(&Commit{Condemned: []CondemnRow{{Name: l.art.Name, Size: l.art.Size, Why: "two\nlines, and \"quotes\""}}})
	l.st.Delete(t.Context(), l.tags.Name)
	l.commit(&Commit{Deleted: []DeletedRow{{l.tags.Name, l.tags.Size}}})
	lines, x := export(t, l)
	wantLines(t, l, lines, x)

	script := recipe(t)
	if err := verifyExport(t, script, x.Root, lines, x.Note); err != nil {
		t.Fatal(err)
	}
	v, err := note.NewVerifier(x.Verifier)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := note.Open(x.Note, note.VerifierList(v)); err != nil {
		t.Errorf("a note verifier: %v", err)
	}
	for name, c := range map[string]struct {
		root          string
		lines, signed []byte
	}{
		"a line":            {x.Root, flip(lines, len(lines)/2), x.Note},
		"the last byte":     {x.Root, lines[:len(lines)-1], x.Note},
		"one line more":     {x.Root, append(bytes.Clone(lines), "x\n"...), x.Note},
		"the text":          {x.Root, lines, flip(x.Note, 60)},
		"a head":            {x.Root, lines, flip(x.Note, bytes.Index(x.Note, []byte("\nhead "))+30)},
		"the signature":     {x.Root, lines, bytes.Replace(x.Note, x.Note[len(x.Note)-20:], []byte("AAAAAAAAAAAAAAAAAA==\n")[:20], 1)},
		"a device's key":    {x.Root, lines, flip(x.Note, bytes.Index(x.Note, []byte("\ndevice "+l.d.ID))+30)},
		"another root":      {b64.EncodeToString(l.d.Key.Public().(ed25519.PublicKey)), lines, x.Note},
		"the time of a log": {x.Root, append([]byte("3"), lines[1:]...), x.Note},
	} {
		if verifyExport(t, script, c.root, c.lines, c.signed) == nil {
			t.Errorf("%s was changed and the log verifies", name)
		}
	}
}

// wantLines compares the lines with what is in the bucket.
func wantLines(t *testing.T, l *library, lines []byte, x *Exported) {
	t.Helper()
	told := map[string]int{}
	last := ""
	for line := range strings.Lines(string(lines)) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 7)
		if len(f) != 7 || f[0] < last {
			t.Fatalf("line %q behind %q", line, last)
		}
		last = f[0]
		told[f[3]+" "+f[4]]++
		if f[4] == l.tags.Name {
			continue
		}
		if f[3] != "condemn" && fmt.Sprint(len(l.body(f[4]))) != f[5] {
			t.Errorf("%q: its object has %d bytes", line, len(l.body(f[4])))
		}
		if f[3] == "condemn" && f[6] != `two lines, and "quotes"` {
			t.Errorf("%q: why %q", line, f[6])
		}
	}
	want := 3 // condemned; put and deleted
	if told["put "+l.tags.Name] != 1 || told["delete "+l.tags.Name] != 1 {
		t.Errorf("of what is deleted: %v", told)
	}
	for info, err := range l.st.List(t.Context(), "", "") {
		what := map[string]string{"log": "commit", "audio": "put", "meta": "put"}[strings.Split(info.Key, "/")[0]]
		if what == "" {
			continue
		}
		if want++; err != nil || told[what+" "+info.Key] != 1 {
			t.Errorf("%s %s is told %d times, %v", what, info.Key, told[what+" "+info.Key], err)
		}
	}
	if int64(want) != x.Lines || told["condemn "+l.art.Name] != 1 {
		t.Errorf("%d lines, want %d: %v", x.Lines, want, told)
	}
	for name := range told {
		if strings.Contains(name, hex.EncodeToString([]byte("host"))) || bytes.Contains(x.Note, []byte("host")) {
			t.Error("it names the host")
		}
	}
}

// The log from a time on begins there, and tells a checkpoint's objects from
// those that it only names again.
func TestLogSince(t *testing.T) {
	l := newLibrary(t)
	c := another(l, &Commit{Time: l.clock.Add(-time.Second)})
	l.env.enrol() // certificates anew
	var all []*Commit
	for range 20 {
		all = append(all, l.commit(&Commit{}))
	}
	l.checkpoint(stateOf(5))
	gets := l.counted.Counts().Gets
	for i, since := range map[int]time.Time{0: {}, 7: all[7].Time, 8: all[7].Time.Add(1), 19: all[19].Time} {
		heads, err := HeadsBefore(t.Context(), l.counted, l.k, l.certs, since)
		if err != nil {
			t.Fatal(err)
		}
		want := Head{}
		if i > 0 {
			want = all[i-1].Head()
		}
		if heads[l.d.ID] != want || i > 0 && heads[c.Device] != c.Head() {
			t.Errorf("before %v: %v, want %v", since, heads, want)
		}
	}
	if n := l.counted.Counts().Gets - gets; n > 3*8 {
		t.Errorf("%d commits were read to find three", n)
	}
	heads := map[string]Head{l.d.ID: all[19].Head()}
	r, err := NewRepeats(t.Context(), l.st, l.k, l.certs, heads)
	if err != nil {
		t.Fatal(err)
	}
	last := must(getCommit(t.Context(), l.st, l.k, l.certs, l.lastName()))(t)
	if puts := r.Of(last); len(last.Puts) == 0 || len(puts) != 0 {
		t.Errorf("%d of %d objects of an unchanged checkpoint are new", len(puts), len(last.Puts))
	}
}
