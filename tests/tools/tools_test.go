package tools

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// recorder is a testing.TB that notes how it was stopped instead of stopping
// the test around it.
type recorder struct {
	testing.TB
	verdict string
	errors  []string
}

func (r *recorder) Helper() {}

func (r *recorder) Skipf(format string, args ...any)  { r.stop("skip", format, args) }
func (r *recorder) Fatalf(format string, args ...any) { r.stop("fatal", format, args) }
func (r *recorder) Errorf(format string, args ...any) { r.note(format, args) }

func (r *recorder) note(format string, args []any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

func (r *recorder) stop(verdict, format string, args []any) {
	r.verdict = verdict
	r.note(format, args)
	panic(r)
}

// stopped runs f as a test of its own and tells how it ended.
func stopped(t *testing.T, f func(testing.TB)) (r *recorder) {
	r = &recorder{TB: t}
	defer func() {
		if e := recover(); e != nil && e != any(r) {
			panic(e)
		}
	}()
	f(r)
	return r
}

func TestNeed(t *testing.T) {
	if got := Need(t, "sh"); len(got) != 1 || !filepath.IsAbs(got[0]) {
		t.Errorf("Need(sh) = %q", got)
	}
	for _, tt := range []struct{ require, want string }{{"", "skip"}, {"1", "fatal"}} {
		t.Setenv("TUNESAFE_REQUIRE_TOOLS", tt.require)
		packages["no-such-tool"] = "its-package"
		r := stopped(t, func(t testing.TB) { Need(t, "sh", "no-such-tool") })
		if r.verdict != tt.want || !strings.Contains(r.errors[0], "apt install its-package") {
			t.Errorf("required %q: %s, %q; want %s", tt.require, r.verdict, r.errors, tt.want)
		}
	}
}

func TestTierCountSeed(t *testing.T) {
	for _, tt := range []struct {
		env, tier string
		count     int
	}{{"", "ci", 1}, {"e2e", "e2e", 2}, {"soak", "soak", 3}, {"what", "ci", 1}} {
		t.Setenv("TUNESAFE_TIER", tt.env)
		if tier, n := Tier(), Count(t, 1, 2, 3); tier != tt.tier || n != tt.count {
			t.Errorf("TUNESAFE_TIER=%s: %s, %d", tt.env, tier, n)
		}
	}
	t.Setenv("TUNESAFE_SEED", "42")
	if got := Seed(t); got != 42 {
		t.Errorf("Seed = %d, want 42", got)
	}
	t.Setenv("TUNESAFE_SEED", "")
	if a, b := Seed(t), Seed(t); a == b {
		t.Errorf("two seeds are both %d", a)
	}
}

func TestMatches(t *testing.T) {
	for _, tt := range []struct {
		pattern, name string
		want          bool
	}{
		{"", "a/b.mp3", true},
		{"*.mp3", "a/b.mp3", true},
		{"*/01 *", "a/b/01 c.mp3", true},
		{"a/?.mp3", "a/é.mp3", true},
		{"a", "a/b", false},
		{"a.b", "axb", false},
		{"[a]*", "[a]b", true},
	} {
		if got := matches(tt.pattern, tt.name); got != tt.want {
			t.Errorf("matches(%q, %q) = %v", tt.pattern, tt.name, got)
		}
	}
}

// sampleTree is a tree with one of everything, made the same twice.
func sampleTree(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	at := func(name string) string { return filepath.Join(root, name) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(at("dir"), 0o755))
	must(os.WriteFile(at("dir/file"), []byte("abc"), 0o640))
	must(os.WriteFile(at("dir/other"), []byte("abc"), 0o640))
	must(os.WriteFile(at("plain"), nil, 0o600))
	must(os.Link(at("dir/file"), at("link")))
	must(os.Symlink("dir/file", at("symlink")))
	must(unix.Mkfifo(at("fifo"), 0o600))
	must(unix.Setxattr(at("plain"), "user.a", []byte("1\x00"), 0))
	must(unix.Setxattr(at("dir"), "user.empty", nil, 0))
	old := unix.NsecToTimespec(time.Date(2017, 1, 2, 3, 4, 5, 6, time.UTC).UnixNano())
	for _, name := range []string{"dir/file", "dir/other", "plain", "symlink", "fifo", "dir"} {
		must(unix.UtimesNanoAt(unix.AT_FDCWD, at(name), []unix.Timespec{old, old}, unix.AT_SYMLINK_NOFOLLOW))
	}
	return root
}

func TestSameTree(t *testing.T) {
	a := sampleTree(t)
	for _, tt := range []struct {
		name   string
		change func(root string) error
		want   []string // what the differences speak of; nothing if there are none
	}{
		{"nothing", func(string) error { return nil }, nil},
		{"own attributes of the drive", func(r string) error {
			return unix.Setxattr(r+"/plain", "user.tunesafe.state", []byte("safe"), 0)
		}, nil},
		{"the root's time", func(r string) error { return os.Chtimes(r, time.Time{}, time.Unix(1, 0)) }, nil},
		{"bytes", func(r string) error {
			return keepTime(r+"/dir/other", func(p string) error { return os.WriteFile(p, []byte("abd"), 0) })
		}, []string{`"dir/other"`, "content"}},
		{"mode", func(r string) error { return os.Chmod(r+"/dir", 0o700) }, []string{`"dir"`, "mode"}},
		{"a nanosecond", func(r string) error {
			return os.Chtimes(r+"/plain", time.Time{}, time.Date(2017, 1, 2, 3, 4, 5, 7, time.UTC))
		}, []string{`"plain"`, "mtime"}},
		{"attribute", func(r string) error { return unix.Setxattr(r+"/plain", "user.a", []byte("1"), 0) },
			[]string{`"plain"`, "user.a"}},
		{"target", func(r string) error {
			return keepTime(r+"/symlink", func(p string) error {
				os.Remove(p)
				return os.Symlink("elsewhere", p)
			})
		}, []string{`"symlink"`, "target"}},
		{"another file for a hard link", func(r string) error {
			return keepTime(r+"/link", func(p string) error {
				os.Remove(p)
				return os.WriteFile(p, []byte("abc"), 0o640)
			})
		}, []string{`"dir/file"`, "hard link"}},
		{"one more", func(r string) error { return os.Mkdir(r+"/new", 0o755) }, []string{"only in the second"}},
		{"one less", func(r string) error { return os.Remove(r + "/fifo") }, []string{"only in the first"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := sampleTree(t)
			before := digest(t, b)
			if before != digest(t, a) {
				t.Fatal("equal trees, other digests")
			}
			if err := tt.change(b); err != nil {
				t.Fatal(err)
			}
			r := &recorder{TB: t}
			same := SameTree(r, a, b)
			if same != (tt.want == nil) || same != (len(r.errors) == 0) || same != (before == digest(t, b)) {
				t.Fatalf("SameTree = %v, %q", same, r.errors)
			}
			for _, w := range tt.want {
				if !strings.Contains(r.errors[0], w) {
					t.Errorf("no word of %s in %q", w, r.errors)
				}
			}
		})
	}
}

func TestSameTreeShowsTwenty(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	for i := range 30 {
		if err := os.WriteFile(filepath.Join(a, string(rune('A'+i))), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := &recorder{TB: t}
	SameTree(r, a, b)
	if n := strings.Count(r.errors[0], "only in the first"); n != 20 || !strings.HasSuffix(r.errors[0], "and 10 more") {
		t.Errorf("%d differences shown: %s", n, r.errors[0])
	}
}

func digest(t *testing.T, dir string) string {
	t.Helper()
	d, err := TreeDigest(dir)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// keepTime changes a file and gives it and its folder their times again.
func keepTime(name string, change func(string) error) error {
	var st, dir unix.Stat_t
	if err := unix.Lstat(name, &st); err != nil {
		return err
	}
	if err := unix.Stat(filepath.Dir(name), &dir); err != nil {
		return err
	}
	if err := change(name); err != nil {
		return err
	}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Dir(name), []unix.Timespec{dir.Atim, dir.Mtim}, 0); err != nil {
		return err
	}
	return unix.UtimesNanoAt(unix.AT_FDCWD, name, []unix.Timespec{st.Atim, st.Mtim}, unix.AT_SYMLINK_NOFOLLOW)
}
