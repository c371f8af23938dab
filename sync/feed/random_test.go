package feed

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/tests/tools"
)

// TestRandom changes a folder at random, in every way that the table has one by
// one, backs it up, and compares; some runs are cut short, and the home is opened
// anew in between. TUNESAFE_SEED repeats one.
func TestRandom(t *testing.T) {
	for range tools.Count(t, 4, 40, 400) {
		seed := tools.Seed(t)
		t.Run(fmt.Sprint(seed), func(t *testing.T) { random(t, seed) })
	}
}

func random(t *testing.T, seed int64) {
	r := newRig(t)
	var m *mutator
	r.o.Limits = Limits{GoneFiles: 1 << 30, GoneShare: 2, Emptied: 1 << 30, Rotten: 1 << 30, Unreadable: 1 << 30}
	defer func() {
		if t.Failed() {
			t.Log(m.log)
		}
	}()
	m = &mutator{r: r, rnd: rand.New(rand.NewPCG(uint64(seed), 1))}
	r.write(anchor, "stays")
	for round := range 12 {
		for range m.rnd.IntN(25) {
			m.step()
		}
		switch m.rnd.IntN(4) {
		case 0:
			m.cutShort()
		case 1:
			r.run()
			r.close()
			r.open()
		}
		r.backup()
		r.same()
		if t.Failed() {
			t.Fatalf("round %d of seed %d; done:\n%s", round, seed, m.log)
		}
		m.log = ""
	}
}

// anchor is a file that stays: a folder of which all is gone is held, whatever the
// limits.
const anchor = "anchor"

type mutator struct {
	r   *rig
	rnd *rand.Rand
	log string
	n   int
}

// cutShort ends a run in the midst, and the program with it.
func (m *mutator) cutShort() {
	ctx, cancel := context.WithCancel(context.Background())
	o, left := m.r.o, m.rnd.IntN(6)
	o.Progress = func(Progress) {
		if left--; left < 0 {
			cancel()
		}
	}
	_, _ = Run(ctx, o)
	cancel()
	m.r.close()
	m.r.open()
	m.note("cut short")
}

func (m *mutator) note(format string, a ...any) { m.log += fmt.Sprintf(format, a...) + "\n" }

// paths lists what is in the folder.
func (m *mutator) paths() (files, dirs []string) {
	dirs = []string{"."}
	_ = filepath.WalkDir(m.r.dir, func(p string, d os.DirEntry, _ error) error {
		rel, _ := filepath.Rel(m.r.dir, p)
		if rel == "." || rel == anchor {
			return nil
		}
		if d.IsDir() {
			dirs = append(dirs, rel)
		} else {
			files = append(files, rel)
		}
		return nil
	})
	return files, dirs
}

func pick(rnd *rand.Rand, list []string) string {
	if len(list) == 0 {
		return "absent"
	}
	return list[rnd.IntN(len(list))]
}

// step makes one change; one that cannot be made is none.
func (m *mutator) step() {
	files, dirs := m.paths()
	file, other, dir := m.r.in(pick(m.rnd, files)), m.r.in(pick(m.rnd, files)), m.r.in(pick(m.rnd, dirs))
	fresh := filepath.Join(m.r.in(pick(m.rnd, dirs)), string(rune('a'+m.rnd.IntN(12))))
	m.n++
	text := fmt.Sprint("text ", m.n, " ", m.rnd.Uint64())
	kind := m.rnd.IntN(17)
	rel := func(p string) string { return strings.TrimPrefix(p, m.r.dir) }
	m.note("%d: file %q other %q dir %q fresh %q", kind, rel(file), rel(other), rel(dir), rel(fresh))
	switch kind {
	case 0, 1, 2:
		_ = os.WriteFile(fresh, []byte(text), 0o644)
	case 3:
		_ = os.WriteFile(fresh, []byte(track(text, "a", "b", m.rnd.Uint64N(3))), 0o644)
	case 4:
		_ = os.WriteFile(file, []byte(text), 0o644)
	case 5:
		_ = os.Mkdir(fresh, 0o755)
	case 6:
		_ = os.Remove(file)
	case 7:
		if dir != m.r.in(".") {
			_ = os.RemoveAll(dir)
		}
	case 8:
		_ = os.Rename(file, fresh)
	case 9:
		_ = os.Rename(file, other)
	case 10:
		_ = os.Rename(dir, fresh)
	case 11:
		_ = os.Link(file, fresh)
	case 12:
		_ = os.Symlink(text, fresh)
	case 13:
		_ = os.Chtimes(file, time.Now(), time.Unix(int64(m.rnd.IntN(1e9)), 5))
	case 14:
		_ = os.Chmod(pick(m.rnd, []string{file, dir}), os.FileMode(0o600|m.rnd.IntN(0o200)))
	case 15:
		_ = unix.Lsetxattr(pick(m.rnd, []string{file, dir}), "user.note", []byte(text), 0)
	case 16: // exchange two names
		_ = unix.Renameat2(unix.AT_FDCWD, file, unix.AT_FDCWD, pick(m.rnd, []string{other, dir}), unix.RENAME_EXCHANGE)
	}
}
