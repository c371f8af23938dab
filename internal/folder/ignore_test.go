package folder

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// ignoreCases are ignore files, by the directory they lie in.
var ignoreCases = []struct {
	name  string
	files map[string]string
}{
	{"names", map[string]string{"": "*.wav\nfoo\nThumbs.*\n"}},
	{"anchored", map[string]string{"": "/a.mp3\nx/a.mp3\n/x/y\n"}},
	{"folders only", map[string]string{"": "foo/\nx/y/\n"}},
	{"negated", map[string]string{"": "*.mp3\n!a.mp3\n"}},
	{"negated below an excluded folder", map[string]string{"": "x\n!x/a.mp3\n"}},
	{"a folder negated brings back no name in it", map[string]string{"": "*.mp3\n!x/\n!/foo\n"}},
	{"all but one", map[string]string{"": "/*\n!/x\n/x/*\n!/x/y\n"}},
	{"two stars", map[string]string{"": "**/y\nx/**/a.mp3\nz/**\n"}},
	{"two stars in a name", map[string]string{"": "a**3\nx/**.wav\n"}},
	{"two stars at both ends", map[string]string{"": "**/y/**\n"}},
	{"classes", map[string]string{"": "[ab].mp3\n[!a].wav\n[a-c]?oo\n"}},
	{"malformed", map[string]string{"": "[ab\na[\n"}},
	{"braces are letters", map[string]string{"": "{a,b}.mp3\n*}.mp3\n"}},
	{"escapes", map[string]string{"": "\\#x\n\\!x\n\\*.mp3\n"}},
	{"comments and blanks", map[string]string{"": "# a.mp3\n\n   \n#x\n"}},
	{"spaces", map[string]string{"": "a.mp3   \nend\\ \nb.mp3 \\  \n"}},
	{"carriage returns", map[string]string{"": "a.mp3\n*.wav\n"}},
	{"a deeper file has more weight", map[string]string{"": "*.mp3\n", "x": "!a.mp3\n", "x/y": "a.mp3\n"}},
	{"a deeper file is of its folder", map[string]string{"x": "/a.mp3\ny/b.mp3\n", "z": "foo\n"}},
	{"case counts", map[string]string{"": "A.MP3\n*.WAV\n"}},
	{"question mark", map[string]string{"": "?.mp3\nx/?/a.mp3\nx?y\n"}},
	{"a star stops at a slash", map[string]string{"": "x/*.mp3\n/*/foo\n"}},
	{"slashes alone", map[string]string{"": "/\n//\n"}},
	{"not UTF-8", map[string]string{"": "Bj\xf6rk*\n"}},
}

// ignorePaths are what is asked of each; a folder has a slash at the end.
var ignorePaths = []string{
	"a.mp3", "b.mp3", "c.wav", "a.wav", "foo", "#x", "!x", "*.mp3", "{a,b}.mp3", "x}.mp3", "end ", "end", "b.mp3 ", "[ab", "a[",
	"Thumbs.db", "Bj\xf6rk.mp3", "xay", "a-3",
	"x/", "x/a.mp3", "x/b.mp3", "x/c.wav", "x/foo/", "x/foo/a.mp3", "x/y/", "x/y/a.mp3", "x/y/b.mp3", "x/y/c.wav",
	"y", "z/", "z/a.mp3", "z/foo", "z/y/", "z/y/deep/", "z/y/deep/a.mp3", "boo/", "boo/foo",
}

// TestIgnoreAsGit asks git itself what each pattern leaves out.
func TestIgnoreAsGit(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		if os.Getenv("TUNESAFE_REQUIRE_TOOLS") == "1" {
			t.Fatal("needs git")
		}
		t.Skip("needs git (Debian: apt install git)")
	}
	for _, tt := range ignoreCases {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, p := range ignorePaths {
				full := filepath.Join(dir, p)
				if strings.HasSuffix(p, "/") {
					must(t, os.MkdirAll(full, 0o755))
					continue
				}
				must(t, os.MkdirAll(filepath.Dir(full), 0o755))
				must(t, os.WriteFile(full, nil, 0o644))
			}
			for at, text := range tt.files {
				must(t, os.WriteFile(filepath.Join(dir, at, IgnoreFile), []byte(text), 0o644))
				must(t, os.WriteFile(filepath.Join(dir, at, ".gitignore"), []byte(text), 0o644))
			}
			got, want := ours(t, dir), gits(t, dir)
			if !slices.Equal(got, want) {
				t.Errorf("left out:\n ours %q\n git  %q", got, want)
			}
		})
	}
}

// ours lists what is left out, a folder without what is in it.
func ours(t *testing.T, dir string) (out []string) {
	r, err := Open(dir, Options{})
	must(t, err)
	defer r.Close()
	r.rules.patterns = nil // git has no defaults
	var walk func(rel string, in *Dir)
	walk = func(rel string, in *Dir) {
		d, err := r.Dir(rel, in)
		must(t, err)
		defer d.Close()
		entries, err := d.Entries()
		must(t, err)
		for _, e := range entries {
			switch {
			case e.Name == IgnoreFile || e.Name == ".gitignore" || e.Name == ".git":
			case e.Why == Excluded:
				out = append(out, d.join(e.Name))
			case e.Stat.IsDir():
				walk(d.join(e.Name), d)
			}
		}
	}
	walk("", nil)
	slices.Sort(out)
	return out
}

// gits lists the same as git tells it.
func gits(t *testing.T, dir string) (out []string) {
	must(t, exec.Command("git", "-C", dir, "-c", "init.defaultBranch=main", "init", "-q").Run())
	ask := exec.Command("git", "-C", dir, "-c", "core.excludesFile=/dev/null", "check-ignore", "-z", "--stdin")
	// A folder is asked about without its slash: with one git takes it for a name.
	ask.Stdin = strings.NewReader(strings.ReplaceAll(strings.Join(ignorePaths, "\x00")+"\x00", "/\x00", "\x00"))
	answer, err := ask.Output()
	if exit, ok := err.(*exec.ExitError); err != nil && !(ok && exit.ExitCode() == 1) {
		t.Fatal(err)
	}
	ignored := map[string]bool{}
	for p := range strings.SplitSeq(string(answer), "\x00") {
		ignored[p] = p != ""
	}
	for p := range ignored {
		if p != "" && !ignored[filepath.Dir(p)] {
			out = append(out, p)
		}
	}
	slices.Sort(out)
	return out
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
