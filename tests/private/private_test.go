// Package private holds what others on the machine may see of a home that is in
// use: nothing of its files, and no secret in a log, in arguments, or in the
// environment of what the program starts.
package private

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pkg/xattr"

	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
	"github.com/tunesafe/tunesafe/tests/drive"
)

func TestMain(m *testing.M) { os.Exit(drive.Main(m)) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestInUse takes a home through its life under a umask that takes nothing away,
// and looks at everything that others could look at.
func TestInUse(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	wrapper := wrapFusermount(t) // before the home takes over the environment
	server := realserver.StartEmbedded(t)
	program := ownProgram(t)
	h := drive.NewWith(t, server, program)
	h.Run("init", "--store", drive.Store, "--endpoint", server.Endpoint, "--region", "us-east-1", "--name", host)
	mustRefuseStrangers(t, server.Endpoint+"/music")
	secrets := secretsOf(t, h.Dir)
	secrets["the store's secret key"] = server.SecretKey
	w := watch(t, program, secrets)
	var said strings.Builder

	music := filepath.Join(t.TempDir(), "Music")
	must(t, os.Mkdir(music, 0o755))
	must(t, os.WriteFile(filepath.Join(music, titles[0]), text(titles[0]), 0o644))
	said.WriteString(h.Run("backup", music))

	h.Mount("--debug", "--settle=100ms")
	must(t, os.WriteFile(filepath.Join(h.At, titles[1]), text(titles[1]), 0o644))
	for _, args := range [][]string{{"wait"}, {"status"}, {"check", "--read"}, {"log", "verify"}, {"ls", "-l"}, {"picture"}} {
		said.WriteString(h.Run(args...))
	}
	mustBePrivate(t, h.Dir, "while mounted")
	mustKeepOthersOut(t, h.Dir)
	pid := h.Pid()
	h.Run("unmount", h.At)
	h.AwaitEnd(pid)
	said.WriteString(h.Run("check"))
	to := realserver.StartEmbedded(t)
	said.WriteString(newCommands(t, h, to, w))
	mustBePrivate(t, h.Dir, "after the keys and the moves")
	said.WriteString(h.Run("log", "export", filepath.Join(music, "export")))

	said.WriteString(h.Run("agent", "--after-change", "300ms"))
	pid = h.Pid()
	must(t, os.WriteFile(filepath.Join(music, titles[2]), text(titles[2]), 0o644))
	for begun := time.Now(); h.Status().SafeFiles < 3; time.Sleep(50 * time.Millisecond) {
		if time.Since(begun) > 2*time.Minute {
			t.Fatal("the agent backs up nothing")
		}
	}
	mustBePrivate(t, h.Dir, "while an agent works")
	h.Signal(pid, syscall.SIGTERM)
	h.AwaitEnd(pid) // what it writes at its end must not go while it is looked at
	mustBePrivate(t, h.Dir, "afterwards")

	storeLearnsNothing(t, filepath.Join(server.Dir, "music", "library"), append(titles, filepath.Base(music), host)...)
	storeLearnsNothing(t, filepath.Join(to.Dir, "moved", "here"), append(titles, filepath.Base(music), host)...)
	if w.end() == 0 {
		t.Error("no process in the background was seen")
	}
	secrets = w.all()
	log := h.Log()
	if !strings.Contains(log, "s3 request") {
		t.Error("the log is not one at debug level")
	}
	noSecret(t, secrets, "the log", log)
	noSecret(t, secrets, "what commands say", said.String())
	if os.Geteuid() != 0 { // root mounts by itself
		told, err := os.ReadFile(wrapper)
		must(t, err)
		noSecret(t, secrets, "the environment of fusermount3", string(told))
	}
}

// ownProgram is a copy of the program that no other test runs, whose processes would
// else be taken for this one's.
func ownProgram(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(drive.Program(t))
	must(t, err)
	program := filepath.Join(t.TempDir(), "tunesafe")
	must(t, os.WriteFile(program, text, 0o755))
	return program
}

// newCommands runs what handles secrets of its own, which it adds: passphrases, keys
// of others, pages and shares of the recovery key; and what makes files of its own.
func newCommands(t *testing.T, h *drive.Home, to *realserver.Server, w *watcher) string {
	t.Helper()
	dir := t.TempDir()
	file := func(name, text string) string {
		name = filepath.Join(dir, name)
		must(t, os.WriteFile(name, []byte(text+"\n"), 0o600))
		return name
	}
	const first, second = "correct horse battery staple", "donkey stapler battery wrong"
	w.add("a passphrase", first)
	w.add("another passphrase", second)
	one, other := file("one", first), file("other", second)
	kit := filepath.Join(dir, "kit")
	var said strings.Builder
	for _, args := range [][]string{
		{"keys", "add", "me", "--passphrase-file", one},
		{"keys", "passwd", "me", "--unlock-passphrase-file", one, "--passphrase-file", other},
		{"keys", "list"},
		{"recovery-kit", kit},
		{"recovery-kit", "--shares", "3", "--threshold", "2", kit},
		{"log", "verify", "--kit", kit + ".txt"},
		{"devices", "new-epoch"},
		{"history", "/" + titles[1]},
		{"check", "--read-part", "1/2"},
		{"store", "move", "--to", "s3://moved/here", "--endpoint", to.Endpoint, "--region", "us-east-1"},
		{"keys", "remove", "me"},
	} {
		stdout, stderr, code := h.Try(args...)
		if said.WriteString(stdout + stderr); code != 0 {
			t.Fatalf("%q: exit code %d\n%s%s", args, code, stdout, stderr)
		}
	}
	pages, err := filepath.Glob(kit + "*")
	must(t, err)
	if len(pages) != 8 {
		t.Errorf("the pages are %v", pages)
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		must(t, err)
		info, err := os.Stat(page)
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", page, info.Mode())
		}
		if share := regexp.MustCompile(`TUNESAFE-SHARE-[A-Z2-7]{29}`).Find(text); share != nil {
			w.add("the share on "+filepath.Base(page), string(share))
		}
	}
	if n := len(w.all()); n < 4+1+2+6 {
		t.Errorf("%d secrets are looked for", n)
	}
	epochs := regexp.MustCompile(`AGE-SECRET-KEY-1[0-9A-Z]+`).FindAllString(string(read(t, filepath.Join(h.Dir, "repository.key"))), -1)
	if len(epochs) != 2 {
		t.Fatalf("the home has %d epochs", len(epochs))
	}
	w.add("the repository's key of the new epoch", epochs[1])
	for _, name := range []string{"history.db", "health.db"} {
		if found, err := filepath.Glob(filepath.Join(h.Dir, "*", name)); err != nil || len(found) != 1 {
			t.Errorf("the home has %v, want %s", found, name)
		}
	}
	return said.String()
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	must(t, err)
	return text
}

// What nobody but the owner may read.
var titles = []string{"Kuolema op. 44", "Finlandia op. 26", "Tapiola op. 112"}

const host = "laptop-of-somebody"

// text is a file that says its title over and over.
func text(title string) []byte { return bytes.Repeat([]byte(title+"\n"), 20_000) }

// layout is what names in a bucket may look like, FORMAT.md §2.
var layout = regexp.MustCompile(`^(readme\.txt|repo\.json|keys/[a-z0-9.-]+\.age|devices/[0-9a-f]{16}(-[0-9a-z]+)?\.age` +
	`|log/[0-9a-f]{16}/([0-9]{16}-[0-9a-f]{64}|epoch-[0-9]{8})\.age|checkpoints/[0-9]{16}-[0-9a-f]{16}-[0-9]{16}-[0-9a-f]{64}` +
	`|(audio|meta)/[0-9a-f]{2}/[0-9a-f]{64}\.age)$`)

// storeLearnsNothing looks at all that the store has: names, bytes and attributes.
func storeLearnsNothing(t *testing.T, dir string, words ...string) {
	t.Helper()
	objects := 0
	must(t, filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		objects++
		key, err := filepath.Rel(dir, name)
		must(t, err)
		if !layout.MatchString(key) {
			t.Errorf("an object is named %s", key)
		}
		body, err := os.ReadFile(name)
		must(t, err)
		attributes, err := xattr.List(name)
		must(t, err)
		for _, a := range attributes {
			value, err := xattr.Get(name, a)
			must(t, err)
			body = append(append(body, a...), value...)
		}
		for _, word := range words {
			if bytes.Contains(body, []byte(word)) || strings.Contains(key, word) {
				t.Errorf("%s tells %q", key, word)
			}
		}
		return nil
	}))
	if objects < 10 {
		t.Errorf("the bucket has %d objects", objects)
	}
}

// mustRefuseStrangers asks the S3 server inside the program without credentials.
func mustRefuseStrangers(t *testing.T, url string) {
	t.Helper()
	answer, err := http.Get(url)
	must(t, err)
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusForbidden {
		t.Errorf("the server answers a stranger with %s", answer.Status)
	}
}

// mustKeepOthersOut tries a home in use as another user.
func mustKeepOthersOut(t *testing.T, home string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return // nobody to try it as
	}
	other := func(script string) error {
		sh := exec.Command("/bin/sh", "-c", script, "sh", home)
		sh.Dir = "/"
		sh.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		return sh.Run()
	}
	for _, dir := range []string{filepath.Dir(home), filepath.Dir(filepath.Dir(home))} { // of this test alone
		must(t, os.Chmod(dir, 0o755))
	}
	if err := other(`ls "$(dirname "$1")"`); err != nil {
		t.Fatalf("another user does not even come to the home: %v", err)
	}
	for _, script := range []string{`ls "$1"`, `cat "$1/config.toml"`, `cat "$1/log/tunesafe.log"`, `test -S "$1/run/sock"`, `cd "$1/cache"`} {
		if other(script) == nil {
			t.Errorf("another user may %s", script)
		}
	}
}

// mustBePrivate walks a home: folders 0700, all else 0600.
func mustBePrivate(t *testing.T, dir, when string) {
	t.Helper()
	kinds := map[fs.FileMode]int{}
	must(t, filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil // it was a temporary file
		}
		if err != nil {
			return err
		}
		info, err := e.Info()
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil {
			return err
		}
		kinds[info.Mode().Type()]++
		most := fs.FileMode(0o600)
		if e.IsDir() {
			most = 0o700
		}
		if info.Mode().Perm()&^most != 0 || info.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0 {
			t.Errorf("%s: %s has mode %v, want %v at most", when, name, info.Mode(), most)
		}
		return nil
	}))
	if kinds[0] < 10 || kinds[fs.ModeDir] < 6 || strings.HasPrefix(when, "while") && kinds[fs.ModeSocket] == 0 {
		t.Errorf("%s: %v is no home in use", when, kinds)
	}
}

// secretsOf reads what of a home nobody may see.
func secretsOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		must(t, err)
		return string(text)
	}
	key := regexp.MustCompile(`AGE-SECRET-KEY-1[0-9A-Z]+`)
	var device struct {
		Seed string `json:"seed"`
	}
	must(t, json.Unmarshal([]byte(read("device.json")), &device))
	hash := regexp.MustCompile(`# hash-key: (\S+)`).FindStringSubmatch(read("repository.key"))
	secrets := map[string]string{
		"the recovery key": key.FindString(read("recovery.key")), "the repository's key": key.FindString(read("repository.key")),
		"the device's key": device.Seed, "the hash key": hash[1],
	}
	for what, s := range secrets {
		if len(s) < 20 {
			t.Fatalf("%s is %q", what, s)
		}
	}
	return secrets
}

func noSecret(t *testing.T, secrets map[string]string, where, text string) {
	t.Helper()
	for what, secret := range secrets {
		if strings.Contains(text, secret) {
			t.Errorf("%s holds %s", where, what)
		}
	}
}

// watcher looks at the arguments and the environment of what the program starts,
// again and again.
type watcher struct {
	t       *testing.T
	program string
	stop    chan struct{}
	done    sync.WaitGroup
	seen    map[string]bool

	mu      sync.Mutex
	secrets map[string]string
}

// add has it look for another secret from now on.
func (w *watcher) add(what, secret string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.secrets = maps.Clone(w.secrets)
	w.secrets[what] = secret
}

// all are the secrets it looks for.
func (w *watcher) all() map[string]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.secrets
}

func watch(t *testing.T, program string, secrets map[string]string) *watcher {
	w := &watcher{t: t, program: program, secrets: secrets, stop: make(chan struct{}), seen: map[string]bool{}}
	w.done.Go(func() {
		for {
			select {
			case <-w.stop:
				return
			case <-time.After(5 * time.Millisecond):
				w.look()
			}
		}
	})
	return w
}

// end stops watching and tells how many processes were seen.
func (w *watcher) end() int {
	close(w.stop)
	w.done.Wait()
	return len(w.seen)
}

// look examines the processes that the program started: those of it, and of
// fusermount3, that are not this test's own children, whose environment the test chose.
func (w *watcher) look() {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, stat := range stats {
		dir := filepath.Dir(stat)
		args, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil || !bytes.Contains(args, []byte(w.program)) && !bytes.Contains(args, []byte("fusermount")) {
			continue
		}
		what := strings.ReplaceAll(strings.TrimRight(string(args), "\x00"), "\x00", " ")
		noSecret(w.t, w.all(), "the arguments of "+what, string(args))
		parent, runs := origin(stat) // before the environment is read: it may end at any time
		if !runs || parent == os.Getpid() {
			continue
		}
		env, err := os.ReadFile(filepath.Join(dir, "environ"))
		if err == nil && len(env) > 0 && !w.seen[dir] {
			w.seen[dir] = true
			noSecret(w.t, w.all(), "the environment of "+what, string(env))
		}
	}
}

// origin reads a process's parent from its stat, proc_pid_stat(5), and whether it runs a
// program of its own: between fork and exec it still shows what is its parent's.
func origin(stat string) (parent int, runs bool) {
	const forkNoExec = 0x40 // PF_FORKNOEXEC of the kernel
	text, err := os.ReadFile(stat)
	_, rest, _ := strings.Cut(string(text), ") ")
	f := strings.Fields(rest)
	if err != nil || len(f) < 7 {
		return 0, false
	}
	parent, _ = strconv.Atoi(f[1])
	flags, err := strconv.ParseUint(f[6], 10, 64)
	return parent, err == nil && flags&forkNoExec == 0
}

// wrapFusermount puts a program before fusermount3 that writes down what it was
// given, and returns the name of the file.
func wrapFusermount(t *testing.T) string {
	t.Helper()
	drive.NeedFUSE(t)
	real, err := exec.LookPath("fusermount3")
	must(t, err)
	dir := t.TempDir()
	told := filepath.Join(dir, "told")
	must(t, os.WriteFile(told, nil, 0o666))
	script := fmt.Sprintf("#!/bin/sh\n{ echo \"$@\"; /usr/bin/env; } >>%s\nexec %s \"$@\"\n", told, real)
	must(t, os.WriteFile(filepath.Join(dir, "fusermount3"), []byte(script), 0o755))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return told
}
