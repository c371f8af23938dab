package web

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/home"
	"github.com/tunesafe/tunesafe/tests/drive"
)

// TestSetUp is somebody who has never seen a terminal, from the first page to a backup
// that is on its way.
func TestSetUp(t *testing.T) {
	b := open(t)
	user := t.TempDir()
	music := filepath.Join(user, "Music")
	if err := os.Mkdir(music, 0o755); err != nil {
		t.Fatal(err)
	}
	library(t, music)
	cmd := exec.Command(drive.Program(t), "web", "--listen", "127.0.0.1:0")
	cmd.Env = append(os.Environ(), "HOME="+user, "XDG_DATA_HOME=", "XDG_CONFIG_HOME=", "TUNESAFE_HOME=")
	link := runs(t, cmd)
	t.Cleanup(func() { tells(t, cmd) })

	choose := func(selector string) {
		t.Helper()
		b.await("document.querySelector('" + selector + "')")
		value[bool](b, "document.querySelector('"+selector+"').click() || true")
	}
	fill := func(id, text string) {
		t.Helper()
		value[bool](b, "void (document.getElementById('"+id+"').value = '"+text+"') || true")
	}
	b.visit(link)
	b.says("Which music do you want to keep safe?")
	b.await("document.querySelector('.count').innerText.includes('6 tracks')")
	b.look("setup-music")
	b.press("Next: where to")
	b.await("document.querySelector('[role=alert]')")
	b.look("setup-mistake")
	choose("[name=folder]")
	b.press("Next: where to")
	b.says("Where shall the backup go?")
	b.look("setup-place")
	choose("[value=b2]")
	b.press("Next: access")
	b.says("Access to Backblaze B2")
	b.look("setup-keys")
	b.visit(value[string](b, "location.origin") + "/setup/place")
	choose("[value=disk]")
	b.press("Next: access")
	b.says("Which folder of this computer?")
	fill("dir", filepath.Join(user, "store"))
	b.press("Try it")
	b.says("What it takes")
	b.look("setup-cost")
	choose(".button.main")
	b.says("Your recovery key")
	b.look("setup-kit")
	key := value[string](b, "document.querySelector('.key .path').innerText")
	fill("check", strings.ToLower(key[len(key)-6:]))
	b.press("I have it on paper")
	b.says("Ready to begin")
	b.look("setup-begin")
	b.delay("hx-sse.js", time.Second) // which has the page follow
	b.press("Begin")
	b.says("Everything is copied on this computer.")
}

// tells has what a test that failed came to explained by the program that it ran: by its
// status, while it serves, and its log.
func tells(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	if !t.Failed() {
		return
	}
	ask := exec.Command(cmd.Path, "status", "--json")
	ask.Env = cmd.Env
	said, err := ask.CombinedOutput()
	t.Logf("its status (%v): %s", err, said)
	var s control.Status
	if json.Unmarshal(said, &s) != nil {
		return
	}
	log, err := os.ReadFile(home.Home(s.Home).LogFile())
	t.Logf("the end of its log (%v):\n%s", err, log[max(0, len(log)-8000):])
}
