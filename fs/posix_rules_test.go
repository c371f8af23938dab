package fs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// rule is something a local file system does. It runs on the drive and in an
// ordinary folder of the disk, and both must report the same and leave the same
// tree. need is as in everyday.
type rule struct {
	name, need string
	run        func(r *report, dir string)
}

// report is what a rule found; the paths in it are relative.
type report struct {
	strings.Builder
	dir string
}

func (r *report) say(format string, args ...any) {
	for i, a := range args {
		if err, ok := a.(error); ok {
			args[i] = word(err)
		}
	}
	fmt.Fprintf(r, format+"\n", args...)
}

// word is the short name of an error, without paths.
func word(err error) string {
	var no syscall.Errno
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &no):
		return unix.ErrnoName(no)
	}
	return err.Error()
}

// do reports the outcome of a call.
func (r *report) do(what string, err error) { r.say("%s: %s", what, word(err)) }

// at is the path of a name in the rule's folder.
func (r *report) at(name string) string { return filepath.Join(r.dir, name) }

// must stops the rule when its preparation fails.
func (r *report) must(errs ...error) {
	for _, err := range errs {
		if err != nil {
			r.say("cannot go on: %v", err)
			panic(stopRule{})
		}
	}
}

type stopRule struct{}

// open opens a file that must be there.
func (r *report) open(name string, flags int) *os.File {
	f, err := os.OpenFile(r.at(name), flags, 0o644)
	r.must(err)
	return f
}

// put makes a file.
func (r *report) put(name, content string) {
	r.must(os.WriteFile(r.at(name), []byte(content), 0o644))
}

// get reports what a file holds.
func (r *report) get(name string) {
	data, err := os.ReadFile(r.at(name))
	r.say("%s holds %q, %s", name, data, word(err))
}

// stat reports the attributes of a name that two file systems agree on.
func (r *report) stat(names ...string) {
	for _, name := range names {
		var st unix.Stat_t
		err := unix.Lstat(r.at(name), &st)
		if err != nil {
			r.do("stat "+name, err)
			continue
		}
		r.say("%s: %s", name, attrs(st))
	}
}

// fstat is stat of an open file.
func (r *report) fstat(f *os.File) {
	var st unix.Stat_t
	err := unix.Fstat(int(f.Fd()), &st)
	r.say("open file: %s, %s", attrs(st), word(err))
}

func attrs(st unix.Stat_t) string {
	size := fmt.Sprintf("%d bytes", st.Size)
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		size = "directory"
	}
	return fmt.Sprintf("%o, %d links, %s", st.Mode, st.Nlink, size)
}

// both runs the rules on each drive and on the disk.
func (rules ruleTable) both(t *testing.T) {
	inBoth(t, func(t *testing.T, dir string) {
		for _, e := range rules {
			t.Run(strings.ReplaceAll(e.name, " ", "-"), func(t *testing.T) {
				need(t, e.need)
				name := strings.ReplaceAll(e.name, " ", "-")
				here, there := subdir(t, dir, name), subdir(t, openTo(t, t.TempDir()), name)
				got, want := report{dir: here}, report{dir: there}
				for _, r := range []*report{&got, &want} {
					func() {
						defer func() {
							if p := recover(); p != nil && p != (stopRule{}) {
								panic(p)
							}
						}()
						e.run(r, r.dir)
					}()
				}
				if got.String() != want.String() {
					t.Error(unlike(got.String(), want.String()))
				}
				if got, want := tree(t, here), tree(t, there); got != want {
					t.Errorf("left:\n%s\nwant:\n%s", got, want)
				}
			})
		}
	})
}

type ruleTable []rule

// unlike tells where two reports differ.
func unlike(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	if len(g) != len(w) {
		return fmt.Sprintf("the drive:\n%s\nthe disk:\n%s", got, want)
	}
	var b strings.Builder
	above := "" // the last line that is not indented
	for i := range g {
		if !strings.HasPrefix(g[i], " ") {
			above = g[i]
		}
		if g[i] != w[i] {
			fmt.Fprintf(&b, "line %d, below %q:\n    drive: %s\n    disk:  %s\n", i+1, above, g[i], w[i])
		}
	}
	return b.String()
}

// openTo lets other users into a temporary folder.
func openTo(t *testing.T, dir string) string {
	t.Helper()
	for p := dir; p != "/" && os.Geteuid() == 0; p = filepath.Dir(p) {
		if st, err := os.Stat(p); err == nil && st.Mode().Perm() == 0o700 {
			check(t, os.Chmod(p, 0o755))
		}
	}
	check(t, os.Chmod(dir, 0o755))
	return dir
}
