package web

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
	"github.com/tunesafe/tunesafe/tests/drive"
)

// TestDevicesAndKeys retires a machine by the page, lets another key in with which a new
// machine opens the backup, and takes it out again.
func TestDevicesAndKeys(t *testing.T) {
	b := open(t)
	s := realserver.StartEmbedded(t)
	h, lost := drive.New(t, s), drive.New(t, s)
	h.Init(s.Endpoint)
	lost.Run("init", "--store", drive.Store, "--endpoint", s.Endpoint, "--region", "us-east-1", "--recovery-key", filepath.Join(h.Dir, "recovery.key"), "--name", "the lost one")
	h.Mount("--settle", "100ms")
	b.visit(link(h, "--listen", "127.0.0.1:0"))
	b.await("document.querySelector('h1')")

	origin := value[string](b, "location.origin")
	b.visit(origin + "/devices")
	b.says("Devices")
	b.await("document.querySelectorAll('main .openers > li').length === 2")
	b.look("devices")
	b.follow("Retire …")
	b.says("Retire the lost one?")
	b.look("retire")
	b.press("Retire it")
	b.await("document.querySelector('[role=alert]')?.innerText.includes('tick that it is meant')")
	value[bool](b, "document.querySelector('[name=sure]').click() || true")
	b.press("Retire it")
	b.says("the lost one is retired.")
	b.look("retired")
	if out := h.Run("devices", "list"); !strings.Contains(out, "retired on") {
		t.Errorf("no machine is retired: %s", out)
	}

	const words = "the quick brown fox sings"
	b.visit(origin + "/keys")
	b.says("Keys")
	b.await("document.body.innerText.includes('opened this home')")
	fill := func(again string) {
		t.Helper()
		for id, text := range map[string]string{"name": "spouse", "passphrase": words, "again": again} {
			value[string](b, fmt.Sprintf("document.getElementById(%q).value = %q", id, text))
		}
		b.press("Add the key")
	}
	fill(words + " loudly")
	b.await("document.querySelector('[role=alert]')?.innerText.length > 0")
	if page := value[string](b, "document.documentElement.outerHTML"); strings.Contains(page, words) {
		t.Error("the page repeats a passphrase")
	}
	b.look("keys-mistake")
	fill(words)
	b.await("document.getElementById('key-spouse')")
	b.look("keys")
	phrase := filepath.Join(t.TempDir(), "phrase")
	if err := os.WriteFile(phrase, []byte(words+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	open := []string{"init", "--store", drive.Store, "--endpoint", s.Endpoint, "--region", "us-east-1", "--passphrase-file", phrase}
	drive.New(t, s).Run(open...)

	b.visit(origin + "/keys/spouse")
	b.says("Remove spouse?")
	b.look("key-remove")
	value[bool](b, "document.querySelector('[name=sure]').click() || true")
	b.press("Remove it")
	b.says("Keys")
	b.await("!document.getElementById('key-spouse')")
	if _, _, code := drive.New(t, s).Try(open...); code == 0 {
		t.Error("a key that was removed opens the backup")
	}
	b.press("Begin it")
	b.await("document.querySelector('[role=status]')?.innerText.includes('has begun')")
	b.look("keys-epoch")
}
