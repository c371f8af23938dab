package crash

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tunesafe/tunesafe/tests/tools"
)

// retagServer sets the artist of the file named on each line of its standard
// input, in place, and answers each with a line.
const retagServer = `
import sys, mutagen
for line in sys.stdin:
    name, artist = line.rstrip("\n").split("\t")
    try:
        tags = mutagen.File(name, easy=True)
        tags["artist"] = artist
        tags.save()
        print("saved", flush=True)
    except Exception as e:
        print(repr(e), flush=True)
`

// tagger is a real tagger at work on tracks of the drive, and, for what they
// must be then, on the same tracks of an ordinary folder.
type tagger struct {
	*writer
	mirror string
	in     io.Writer
	out    *bufio.Scanner
}

// newTagger starts one on the tracks of the folder mirror, which root holds too.
func newTagger(t testing.TB, root, mirror string, seed uint64, stop *atomic.Bool) *tagger {
	t.Helper()
	cmd := exec.Command(tools.Need(t, tools.Mutagen)[0], "-c", retagServer)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait() // it has nothing more to say
	})
	g := &tagger{writer: newWriter(root, seed, stop), mirror: mirror, in: in, out: bufio.NewScanner(out)}
	g.rng = rand.New(rand.NewPCG(seed, 8))
	g.ops = []func(*writer) error{g.retag, g.retag, g.retagCopy, (*writer).read, (*writer).setXattr, (*writer).syncDir}
	for i, p := range regular(t, mirror) {
		data, err := os.ReadFile(filepath.Join(mirror, p))
		if err != nil {
			t.Fatal(err)
		}
		g.now.names[p] = i + 1
		g.now.inodes[i+1] = inode{data: data, perm: 0o644}
		g.next = i + 1
	}
	return g
}

// save has the tagger set the artist of a file.
func (g *tagger) save(name, artist string) error {
	if _, err := fmt.Fprintf(g.in, "%s\t%s\n", name, artist); err != nil {
		return err
	}
	if !g.out.Scan() {
		return errors.Join(errors.New("the tagger ended"), g.out.Err())
	}
	if g.out.Text() != "saved" {
		return fmt.Errorf("retagging %s: %s", name, g.out.Text())
	}
	return nil
}

// artist is sometimes longer than the padding of any tag, so that sound moves.
func (g *tagger) artist() string {
	n := 1 + g.rng.IntN(40)
	if g.rng.IntN(6) == 0 {
		n = 1 + g.rng.IntN(6000)
	}
	return strings.Repeat(string(rune('a'+g.rng.IntN(26))), n)
}

// track chooses a track, and first puts right one that was cut short in the
// midst of a retag: that is the tagger's way of writing, not the drive's.
func (g *tagger) track() (p string, want []byte, err error) {
	tracks := g.now.list(false)
	p = g.pick(tracks)
	base := filepath.Base(p)
	if strings.HasPrefix(base, ".tmp-") {
		return "", nil, g.step("unlink "+p, func() error { return os.Remove(g.path(p)) }, func(t *tree) { delete(t.names, p) })
	}
	mirror := filepath.Join(g.mirror, p)
	if want, err = os.ReadFile(mirror); err != nil {
		return "", nil, err
	}
	if !bytes.Equal(want, g.now.inodes[g.now.names[p]].data) {
		if err := g.replaceBy(p, want); err != nil {
			return "", nil, err
		}
	}
	return p, want, nil
}

// retag edits in place, as most taggers do.
func (g *tagger) retag(*writer) error {
	p, _, err := g.track()
	if p == "" || err != nil {
		return err
	}
	artist := g.artist()
	if err := g.save(filepath.Join(g.mirror, p), artist); err != nil {
		return err
	}
	want, err := os.ReadFile(filepath.Join(g.mirror, p))
	if err != nil {
		return err
	}
	id := g.now.names[p]
	g.age(id)
	g.tornID, g.torn = id, func([]byte) bool { return true }
	return g.step("retag "+p, func() error { return g.save(g.path(p), artist) }, func(t *tree) { t.set(id, want) })
}

// retagCopy edits a copy and renames it over the track, as careful taggers do.
func (g *tagger) retagCopy(*writer) error {
	p, _, err := g.track()
	if p == "" || err != nil {
		return err
	}
	if err := g.save(filepath.Join(g.mirror, p), g.artist()); err != nil {
		return err
	}
	want, err := os.ReadFile(filepath.Join(g.mirror, p))
	if err != nil {
		return err
	}
	return g.replaceBy(p, want)
}
