package sync

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/store"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// inFolder makes a folder at the top, if need be, and a file in it.
func (d *device) inFolder(folder, name string, p []byte) {
	d.t.Helper()
	at, err := d.cache.Lookup(cache.Root, folder)
	if err != nil {
		if at, err = d.cache.Mkdir(cache.Root, folder, 0o755, cache.Owner{}); err != nil {
			d.t.Fatal(err)
		}
	}
	_, h, err := d.cache.Create(at.Ino, name, 0o644, cache.Owner{}, cache.OpenFlags{Write: true})
	if err == nil {
		_, err = h.WriteAt(p, 0)
	}
	if err == nil {
		err = h.Release()
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

// tree gives the files of the drive with their bytes, and the folders.
func (d *device) tree() map[string]string {
	d.t.Helper()
	all := map[string]string{}
	var walk func(cache.Ino, string)
	walk = func(dir cache.Ino, at string) {
		list, err := d.cache.ReadDir(dir)
		if err != nil {
			d.t.Fatal(err)
		}
		for _, e := range list {
			name := path.Join(at, e.Name)
			if e.Mode&0o170000 == 0o040000 {
				all[name+"/"] = ""
				walk(e.Ino, name)
				continue
			}
			all[name] = string(d.read(name))
		}
	}
	walk(cache.Root, "")
	return all
}

// commitLost is a repository of a device whose home is gone, and the home of another
// that never read it, as steps of one commit each made it.
func commitLost(t *testing.T, steps ...func(a *device)) (w *world, b *device, commits []string) {
	t.Helper()
	w = newWorld(t)
	a, b := w.device("a"), w.device("b")
	b.close()
	a.close()
	a.settle = time.Minute // so that nothing of a step is committed before it is waited for
	a.open(w.st)
	for _, step := range steps {
		a.together(func() { step(a) })
		a.wait()
	}
	a.close()
	if commits = commitsOf(t, w, a.dev.ID); len(commits) != len(steps) {
		t.Fatalf("%d commits of %d steps", len(commits), len(steps))
	}
	return w, b, commits
}

func (d *device) move(from, dir, to string) {
	d.t.Helper()
	f, err := d.cache.Lookup(cache.Root, dir)
	if err == nil {
		err = d.cache.Rename(cache.Root, from, f.Ino, to, cache.RenameFlags{})
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

// repaired does what the command does, but that what waits is not uploaded; err is why it
// ended.
func (d *device) repaired(st store.Store, o RepairOptions) (done Repaired, err error) {
	d.t.Helper()
	ctx := context.Background()
	d.assemble(st)
	defer d.closeFiles()
	if done, err = d.w.MendLog(ctx, o); err != nil {
		d.t.Fatal("the log:", err)
	}
	if _, err := d.w.Pull(ctx); err != nil {
		return done, err
	}
	if o.GiveUp {
		if _, err := d.w.Rebuild(ctx); err != nil {
			d.t.Fatal("rebuild:", err)
		}
	}
	if done.GaveUp {
		if done.Found, done.Names, err = d.w.Rescue(ctx); err != nil {
			d.t.Fatal("to lost+found:", err)
		}
	}
	if _, err := d.w.SayAgain(ctx); err != nil && !errors.Is(err, ErrWaiting) {
		return done, err
	}
	objects, err := d.w.Mend(ctx, o)
	done.Mended, done.Left, done.Lost = append(done.Mended, objects.Mended...), append(done.Left, objects.Left...), objects.Lost
	return done, err
}

// TestGiveUpCommits: commits that no home ever read are lost with their home. They are
// left until they are given up. Then every home goes on, new ones too, and what other
// commits say is there, if need be in lost+found.
func TestGiveUpCommits(t *testing.T) {
	tools.StepByStep(t)
	for lose := range 5 {
		t.Run(fmt.Sprint(lose), func(t *testing.T) {
			w, b, commits := commitLost(t,
				func(a *device) { a.write("one", []byte("one")) },
				func(a *device) { a.inFolder("F", "f1", []byte("in F")) },
				func(a *device) { a.write("two", []byte("two")) },
				func(a *device) { a.move("one", "F", "moved") },
				func(a *device) { a.write("last", []byte("last")) })
			want := map[string]string{"F/": "", "F/moved": "one", "F/f1": "in F", "two": "two", "last": "last", "new": "new"}
			var found, names []string
			switch lose {
			case 0: // the commit that moves it has no row of it
				delete(want, "F/moved")
				names = []string{"F/moved"}
			case 1: // the folder's row comes again, as it changed
				delete(want, "F/f1")
			case 2:
				delete(want, "two")
			case 3:
				delete(want, "F/moved")
				want["one"] = "one"
			}
			if err := w.raw.Delete(t.Context(), commits[lose]); err != nil {
				t.Fatal(err)
			}
			if lose == len(commits)-1 { // that there was another behind the newest nobody can know
				delete(want, "last")
			} else {
				if done, err := b.repaired(w.st, RepairOptions{}); err == nil || len(done.Left) != 1 || len(done.Mended) > 0 {
					t.Fatalf("before it is given up: %v, %+v", err, done)
				}
				done, err := b.repaired(w.st, RepairOptions{GiveUp: true})
				if err != nil || len(done.Left) > 0 || !slices.Equal(done.Found, found) || !slices.Equal(done.Names, names) {
					t.Fatalf("given up: %v, %+v", err, done)
				}
			}
			goesOn(t, w, b, want)
		})
	}
}

// TestGiveUpFolder: what was in a folder, or had a name, that a lost commit alone told is
// in lost+found.
func TestGiveUpFolder(t *testing.T) {
	tools.StepByStep(t)
	w, b, commits := commitLost(t,
		func(a *device) { a.write("one", []byte("one")) },
		func(a *device) {
			for _, name := range []string{"F", "G"} {
				if _, err := a.cache.Mkdir(cache.Root, name, 0o755, cache.Owner{}); err != nil {
					a.t.Fatal(err)
				}
			}
			a.write("two", []byte("two"))
		},
		func(a *device) { a.write("two", []byte("two, again")) })
	if err := w.raw.Delete(t.Context(), commits[1]); err != nil {
		t.Fatal(err)
	}
	done, err := b.repaired(w.st, RepairOptions{GiveUp: true})
	if err != nil || len(done.Found) != 1 || len(done.Names) > 0 || len(done.Lost) > 0 {
		t.Fatalf("%v, %+v", err, done)
	}
	goesOn(t, w, b, map[string]string{"one": "one", "lost+found/": "", done.Found[0]: "two, again", "new": "new"})
	if again, err := b.repaired(w.st, RepairOptions{GiveUp: true, Read: true}); err != nil || again.GaveUp || len(again.Left) > 0 {
		t.Errorf("once more: %v, %+v", err, again)
	}
}

// goesOn writes one more file and holds that a new home has the same as this one.
func goesOn(t *testing.T, w *world, d *device, want map[string]string) {
	t.Helper()
	d.open(w.st)
	d.write("new", []byte("new"))
	d.wait()
	if got := d.tree(); !maps.Equal(got, want) {
		t.Errorf("there is %q, want %q", got, want)
	}
	d.close()
	cold := w.device("cold")
	if got := cold.tree(); !maps.Equal(got, want) {
		t.Errorf("a new home has %q, want %q", got, want)
	}
	cold.close()
	findings, _, err := repo.Check(t.Context(), w.st, w.keys, nil, repo.CheckOptions{Read: true})
	for _, f := range findings {
		if !f.Harmless {
			t.Errorf("%s: %s", f.Object, f.Problem)
		}
	}
	if err != nil {
		t.Error(err)
	}
}

func commitsOf(t *testing.T, w *world, device string) (names []string) {
	t.Helper()
	for info, err := range w.raw.List(context.Background(), "log/"+device+"/", "") {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, info.Key)
	}
	return names
}
