// Package setup goes through the set-up in the page as a browser without scripts
// does, with the program itself and a real store.
package setup

import (
	"bufio"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
	"github.com/tunesafe/tunesafe/tests/drive"
)

func TestMain(m *testing.M) { os.Exit(drive.Main(m)) }

const patience = 2 * time.Minute

// person is somebody at a computer that has no home of tunesafe yet.
type person struct {
	t    *testing.T
	user string // the home of the user
	home string
	base string
	http http.Client
	cmd  *exec.Cmd
	out  *os.File
	page string // what was answered last
	code int
	all  strings.Builder // all pages
	env  []string        // beside that of the tests
}

func begin(t *testing.T) *person {
	t.Helper()
	p := newcomer(t)
	p.serve()
	return p
}

// newcomer is a person who has not begun.
func newcomer(t *testing.T) *person {
	user := t.TempDir()
	return &person{t: t, user: user, home: filepath.Join(user, ".local", "share", "tunesafe")}
}

// tunesafe is the program, as this person runs it.
func (p *person) tunesafe(args ...string) *exec.Cmd {
	cmd := exec.Command(drive.Program(p.t), args...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "AWS_") && !strings.HasPrefix(v, "XDG_") && !strings.HasPrefix(v, "TUNESAFE_HOME") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "HOME="+p.user, "AWS_EC2_METADATA_DISABLED=true", "XDG_RUNTIME_DIR="+p.user)
	cmd.Env = append(cmd.Env, p.env...)
	return cmd
}

var linkPattern = regexp.MustCompile(`http://\S+/login\?token=\S+`)

// serve runs tunesafe web and goes in.
func (p *person) serve() {
	p.t.Helper()
	p.cmd = p.tunesafe("web", "--listen", "127.0.0.1:0")
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	p.cmd.Stderr = os.Stderr
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = p.cmd.Process.Kill(); _ = p.cmd.Wait() })
	link, said := "", bufio.NewReader(out)
	for link == "" {
		line, err := said.ReadString('\n')
		if link = linkPattern.FindString(line); err != nil && link == "" {
			p.t.Fatal(err)
		}
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		p.t.Fatal(err)
	}
	p.http = http.Client{Jar: jar}
	p.base, _, _ = strings.Cut(link, "/login")
	p.visit(strings.TrimPrefix(link, p.base))
}

// kill ends the program as a crash does.
func (p *person) kill() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		p.t.Fatal(err)
	}
	_ = p.cmd.Wait()
}

func (p *person) took(r *http.Response, err error) *http.Response {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	p.page, p.code = html.UnescapeString(string(text)), r.StatusCode
	p.all.Write(text)
	return r
}

func (p *person) visit(path string) *http.Response {
	p.t.Helper()
	r, err := http.NewRequest(http.MethodGet, p.base+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html")
	return p.took(p.http.Do(r))
}

// send fills in the form of the page that is shown: names and values in turns.
func (p *person) send(path string, fields ...string) {
	p.t.Helper()
	_, rest, ok := strings.Cut(p.page, `name="csrf" value="`)
	if !ok {
		p.t.Fatalf("no form: %s", p.page)
	}
	token, _, _ := strings.Cut(rest, `"`)
	form := url.Values{"csrf": {token}}
	for i := 0; i < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	p.took(p.http.PostForm(p.base+path, form))
}

var headingPattern = regexp.MustCompile(`<h1>([^<]*)</h1>`)

// at wants the page to have a heading.
func (p *person) at(heading string) {
	p.t.Helper()
	if found := headingPattern.FindStringSubmatch(p.page); found == nil || found[1] != heading {
		p.t.Fatalf("want %q: %s", heading, p.page)
	}
}

// wrong wants a mistake to be told, with the field it is in.
func (p *person) wrong(field string, words ...string) {
	p.t.Helper()
	_, told, ok := strings.Cut(p.page, `role="alert"`)
	told, _, _ = strings.Cut(told, "</div>")
	if p.code != http.StatusUnprocessableEntity || !ok {
		p.t.Errorf("status %d, nothing is told: %s", p.code, p.page)
	}
	for _, w := range words {
		if !strings.Contains(told, w) {
			p.t.Errorf("%q is not told: %s", w, told)
		}
	}
	if field != "" && !regexp.MustCompile(`id="`+field+`"[^>]*aria-invalid="true" aria-describedby="problem"`).MatchString(p.page) {
		p.t.Errorf("the field %s is not marked", field)
	}
}

// music makes a folder with some.
func (p *person) music(name string) string {
	p.t.Helper()
	dir := filepath.Join(p.user, name)
	if err := os.MkdirAll(filepath.Join(dir, "Album"), 0o755); err != nil {
		p.t.Fatal(err)
	}
	for i := range 3 {
		if err := os.WriteFile(filepath.Join(dir, "Album", fmt.Sprintf("%d.mp3", i)), fmt.Appendf(nil, "sound %s %d", name, i), 0o644); err != nil {
			p.t.Fatal(err)
		}
	}
	return dir
}

// safe waits until the library is.
func (p *person) safe(tracks int) {
	p.t.Helper()
	var out []byte
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		var err error
		if out, err = p.tunesafe("status", "--json").CombinedOutput(); err != nil {
			continue
		}
		if strings.Contains(string(out), fmt.Sprintf(`"safe_files": %d`, tracks)) && strings.Contains(string(out), `"waiting_files": 0`) {
			return
		}
	}
	p.t.Fatalf("never safe: %s\n%s", out, p.log())
}

// lists waits until so many places of a name are on the drive.
func (p *person) lists(name string, n int) {
	p.t.Helper()
	var out []byte
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		var err error
		if out, err = p.tunesafe("ls").Output(); err == nil && strings.Count(string(out), name) == n {
			return
		}
	}
	p.t.Fatalf("never on the drive: %s\n%s", out, p.log())
}

func (p *person) log() string {
	text, _ := os.ReadFile(filepath.Join(p.home, "log", "tunesafe.log"))
	return string(text)
}

// begun waits until the library is shown.
func (p *person) begun() {
	p.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if r := p.visit("/setup/wait"); r.Request.URL.Path == "/" {
			return
		} else if strings.Contains(p.page, `role="alert"`) {
			break
		}
	}
	p.t.Fatalf("never begun: %s\n%s", p.page, p.log())
}

var keyPattern = regexp.MustCompile(`AGE-SECRET-KEY-1[A-Z0-9]+`)

// kit goes through the recovery kit, and gives the key.
func (p *person) kit() string {
	p.t.Helper()
	p.visit("/setup/kit")
	p.at("Your recovery key")
	key := keyPattern.FindString(p.page)
	if key == "" {
		p.t.Fatalf("no key: %s", p.page)
	}
	p.send("/setup/kit", "check", key[len(key)-6:])
	p.at("Ready to begin")
	return key
}

// TestDisk goes through the whole way with a store on this disk, with a folder that
// was found and one that was typed.
func TestDisk(t *testing.T) {
	t.Parallel()
	p := begin(t)
	p.music("Music")
	p.visit("/setup")
	p.at("Which music do you want to keep safe?")
	p.kill() // nothing was written
	if _, err := os.Lstat(filepath.Join(p.user, ".local")); err == nil {
		t.Error("a look at the page wrote something")
	}
	p.serve()
	p.at("Which music do you want to keep safe?")
	music := filepath.Join(p.user, "Music")
	if !strings.Contains(p.page, `value="`+music+`"`) || !strings.Contains(p.page, "3 tracks") {
		t.Errorf("%s was not found, or not counted: %s", music, p.page)
	}
	for _, at := range []string{"/setup/place", "/setup/keys", "/setup/open", "/setup/cost", "/setup/kit", "/setup/begin", "/setup/kit/page", "/setup/wait"} {
		if r := p.visit(at); r.Request.URL.Path != "/setup" {
			t.Errorf("%s can be had before what comes first", at)
		}
	}
	p.foldersWrong(music)

	other := p.music("Old <b>Tapes</b>")
	p.visit("/setup")
	p.send("/setup", "folder", music, "path", other, "do", "add")
	p.visit("/setup/count?folder=1")
	p.visit("/setup")
	p.send("/setup", "folder", music, "folder", other, "do", "next")
	p.at("Where shall the backup go?")
	p.send("/setup/place")
	p.wrong("", "Choose where")
	p.send("/setup/place", "supplier", "disk")
	p.at("Which folder of this computer?")
	p.send("/setup/keys", "dir", "relative")
	p.wrong("dir", "begins with a slash")
	p.send("/setup/keys", "dir", filepath.Join(p.home, "store"))
	p.wrong("dir", "lies inside the home")
	p.send("/setup/keys", "dir", filepath.Join(p.user, "store"))
	p.at("What it takes")
	if _, err := os.Lstat(p.home); err == nil {
		t.Error("a home was made before the recovery kit")
	}
	key := p.kitThroughout()

	p.serve() // after it was killed at the kit
	if !strings.Contains(p.page, `value="`+html.UnescapeString(other)+`" checked`) {
		t.Errorf("the folders that were chosen are forgotten: %s", p.page)
	}
	p.send("/setup", "folder", music, "folder", other, "do", "next")
	p.visit("/setup/keys")
	p.send("/setup/keys", "dir", filepath.Join(p.user, "store"))
	if again := p.kit(); again != key {
		t.Error("the key on paper is not the key any more")
	}
	p.send("/setup/begin")
	p.begun()
	p.safe(6)
	p.visit("/")
	p.at("Everything is copied on this computer.")
	if r := p.visit("/setup"); r.Request.URL.Path != "/" {
		t.Error("the set-up goes on with a home")
	}
	if _, err := os.Lstat(filepath.Join(p.home, "setup.json")); err == nil {
		t.Error("what was chosen stays written down")
	}
	if out, err := p.tunesafe("recovery-key").Output(); err != nil || strings.TrimSpace(string(out)) != key {
		t.Errorf("the recovery key is %s, %v", out, err)
	}
	if out, err := p.tunesafe("status").CombinedOutput(); err != nil || strings.Contains(string(out), "recovery key") {
		t.Errorf("it reminds of a key that is on paper: %s %v", out, err)
	}
}

// kitThroughout looks at the kit, and kills the program there.
func (p *person) kitThroughout() string {
	t := p.t
	t.Helper()
	p.visit("/setup/kit")
	key := keyPattern.FindString(p.page)
	r := p.visit("/setup/kit/page?download")
	if flat := strings.Join(strings.Fields(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(p.page, "")), ""); !strings.Contains(flat, key) || !strings.Contains(r.Header.Get("Content-Disposition"), "attachment") {
		t.Errorf("the page to print: %s", p.page)
	}
	if c := r.Header.Get("Content-Security-Policy"); !strings.Contains(c, "style-src 'sha256-") || strings.Contains(c, "unsafe") || strings.Contains(c, "script-src") {
		t.Errorf("the policy of the page to print: %s", c)
	}
	p.visit("/setup/kit")
	p.send("/setup/kit", "check", "WRONG1")
	p.wrong("check", "not the last 6 characters")
	if r := p.visit("/setup/begin"); r.Request.URL.Path != "/setup/kit" {
		t.Error("one can begin without the recovery key")
	}
	p.kill()
	return key
}

// foldersWrong chooses what cannot be backed up.
func (p *person) foldersWrong(music string) {
	t := p.t
	t.Helper()
	link, file := filepath.Join(p.user, "link"), filepath.Join(p.user, "file.mp3")
	if err := os.Symlink(music, link); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	p.visit("/setup")
	for typed, words := range map[string]string{
		p.user + "/none":  "there is no folder",
		link:              "is a link: the folder itself is " + music,
		link + "/Album":   "is a link",
		file:              "is a file",
		p.user:            "much more than music",
		"/":               "much more than music",
		"/etc":            "belongs to the system",
		"/proc/self":      "belongs to the system",
		"Music":           "begins with a slash",
		p.home + "/state": "a folder of Tunesafe itself",
	} {
		p.send("/setup", "path", typed, "do", "next")
		p.wrong("path", words)
	}
	if os.Geteuid() != 0 {
		locked := p.music("locked")
		if err := os.Chmod(locked, 0); err != nil {
			t.Fatal(err)
		}
		p.send("/setup", "path", locked, "do", "next")
		p.wrong("path", "may not be read")
	}
	p.send("/setup", "do", "next")
	p.wrong("", "No folder is chosen")
	p.send("/setup", "folder", music, "path", music+"/Album", "do", "next")
	p.wrong("", "is a part of")
	p.send("/setup", "folder", "/etc", "do", "next") // which no page offered
	p.wrong("", "No folder is chosen")
}

// TestBucket goes the whole way with a server that other people wrote, with every
// mistake on it, and then opens the backup from a second computer.
func TestBucket(t *testing.T) {
	t.Parallel()
	s := realserver.StartVersity(t)
	p := begin(t)
	music := p.music("Music")
	p.visit("/setup")
	p.send("/setup", "path", music, "do", "next")
	p.send("/setup/place", "supplier", "r2")
	p.at("Access to Cloudflare R2")
	p.send("/setup/keys", "bucket", "my-music", "region", "auto", "access", "A", "secret", "B")
	p.wrong("account", "Account ID is missing")
	p.visit("/setup/place")
	p.send("/setup/place", "supplier", "own")
	p.at("How is the server reached?")

	try := func(fields ...string) {
		t.Helper()
		all := map[string]string{"endpoint": s.Endpoint, "bucket": "my-music", "region": "us-east-1", "access": s.AccessKey, "secret": s.SecretKey, "prefix": "library"}
		for i := 0; i < len(fields); i += 2 {
			all[fields[i]] = fields[i+1]
		}
		var list []string
		for k, v := range all {
			list = append(list, k, v)
		}
		p.send("/setup/keys", list...)
	}
	p.send("/setup/keys", "endpoint", s.Endpoint, "bucket", "my-music")
	p.wrong("access", "The keys are missing")
	try("endpoint", "example")
	p.wrong("endpoint", "not the address of a server")
	try("endpoint", "http://127.0.0.1:1")
	p.wrong("endpoint", "Nothing listens at 127.0.0.1:1", "on the network")
	try("endpoint", "http://no-such-host.invalid")
	p.wrong("endpoint", "no-such-host.invalid")
	try("endpoint", p.base)
	p.wrong("endpoint", "no S3 server")
	try("bucket", "No Bucket")
	p.wrong("bucket", "cannot be called so")
	try()
	p.wrong("bucket", "There is no bucket my-music", "Make the bucket")
	try("access", "NOBODY")
	p.wrong("access", "does not know this access key")
	try("secret", "hunter2hunter2hunter2")
	p.wrong("secret", "does not belong to this access key")
	try("make", "1")
	p.at("What it takes")
	p.visit("/setup/cost?line=0,5")
	if !strings.Contains(p.page, `value="0.5"`) || !strings.Contains(p.page, "less than a minute") {
		t.Errorf("the line is not reckoned with: %s", p.page)
	}
	p.visit("/setup/keys")
	p.send("/setup/keys", "endpoint", s.Endpoint, "bucket", "my-music", "region", "us-east-1", "prefix", "library") // the keys were given
	p.at("What it takes")
	key := p.kit()
	if left, err := filepath.Glob(filepath.Join(p.home, "*")); err != nil || len(left) == 0 {
		t.Error("the key is not kept")
	} else if _, err := os.Lstat(filepath.Join(p.home, "config.toml")); err == nil {
		t.Error("a home was made before it was said")
	}
	p.send("/setup/begin", "drive", "1", "at", music)
	p.visit("/setup/wait")
	for end := time.Now().Add(patience); !strings.Contains(p.page, `role="alert"`) && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		p.visit("/setup/wait")
	}
	if !strings.Contains(p.page, "The drive cannot be shown there") || !strings.Contains(p.page, "not empty") {
		t.Errorf("a drive over the music: %s", p.page)
	}
	p.send("/setup/begin")
	p.begun()
	p.safe(3)
	p.visit("/")
	p.at("Everything is safe.")
	for what, secret := range map[string]string{"the secret key": s.SecretKey, "the wrong secret": "hunter2"} {
		if strings.Contains(p.all.String(), secret) || strings.Contains(p.log(), secret) {
			t.Errorf("%s is on a page, or in the log", what)
		}
	}
	p.kill()
	p.second(s, key, music)
}

// second is another computer, that finds the backup there.
func (p *person) second(s *realserver.Server, key, music string) {
	t := p.t
	t.Helper()
	q := begin(t)
	dir := q.music("Music")
	q.visit("/setup")
	q.send("/setup", "path", dir, "do", "next")
	q.send("/setup/place", "supplier", "own")
	q.send("/setup/keys", "endpoint", s.Endpoint, "bucket", "my-music", "region", "us-east-1", "access", s.AccessKey, "secret", s.SecretKey, "prefix", "library")
	q.at("There is a backup already")
	if r := q.visit("/setup/kit"); r.Request.URL.Path != "/setup/open" {
		t.Error("a backup is to be made where one is")
	}
	q.send("/setup/open", "key", "a passphrase that nobody set")
	q.wrong("key", "does not open the backup")
	q.send("/setup/open", "key", key)
	q.at("What it takes")
	q.visit("/setup/begin")
	q.at("Ready to begin")
	q.send("/setup/begin")
	q.begun()
	q.lists("Music", 2) // both, as nobody said that they are one
	if strings.Contains(q.all.String(), key) {
		t.Error("the key that was typed is on a page")
	}
	if _, err := os.Lstat(filepath.Join(q.home, "recovery.key")); err == nil {
		t.Error("a key was made that opens nothing")
	}
}

// TestTerminalTakesUp: what the page left, init goes on with.
func TestTerminalTakesUp(t *testing.T) {
	t.Parallel()
	p := begin(t)
	music := p.music("Music")
	p.visit("/setup")
	p.send("/setup", "path", music, "do", "next")
	p.send("/setup/place", "supplier", "disk")
	p.send("/setup/keys", "dir", filepath.Join(p.user, "store"))
	key := p.kit()
	p.kill()
	out, err := p.tunesafe("init", "--store-dir", filepath.Join(p.user, "store")).CombinedOutput()
	if err != nil || !strings.Contains(string(out), key) {
		t.Fatalf("init: %v: %s", err, out)
	}
	p.serve() // and the folders that were chosen are backed up
	p.lists("Music", 1)
}
