package setup

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/tests/drive"
)

// serviceManager notes what is asked of it, and refuses as long as a file says so. A real
// one, of a user who is logged in, is not to be had in a test.
const serviceManager = `#!/bin/sh
echo "$@" >>"$HOME/asked"
if [ -e "$HOME/refuse" ] && [ "$2" = enable ]; then echo "Failed to connect to bus" >&2; exit 1; fi
`

// TestLoginAndDrive has the set-up start the agent at each login and show a drive: first
// where that is refused, then where it works.
func TestLoginAndDrive(t *testing.T) {
	t.Parallel()
	drive.NeedFUSE(t)
	p := newcomer(t)
	bin := filepath.Join(p.user, "bin")
	p.env = []string{"PATH=" + bin + ":" + os.Getenv("PATH")}
	for name, text := range map[string]string{"bin/systemctl": serviceManager, "refuse": ""} {
		name = filepath.Join(p.user, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	p.serve()
	music := p.music("Music")
	p.visit("/setup")
	p.send("/setup", "path", music, "do", "next")
	p.send("/setup/place", "supplier", "disk")
	p.send("/setup/keys", "dir", filepath.Join(p.user, "store"))
	p.kit()
	at := filepath.Join(p.user, "Tunesafe")
	if !strings.Contains(p.page, `name="drive"`) || !strings.Contains(p.page, `value="`+at+`"`) || !strings.Contains(p.page, `name="login" value="1" checked`) {
		t.Fatalf("login and drive are not offered: %s", p.page)
	}
	unit := filepath.Join(p.user, ".config", "systemd", "user", "tunesafe-agent.service")

	p.send("/setup/begin", "login", "1", "drive", "1", "at", at)
	for end := time.Now().Add(patience); !strings.Contains(p.page, `role="alert"`) && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		p.visit("/setup/wait")
	}
	if !strings.Contains(p.page, "It cannot be made to begin at each login") || !strings.Contains(p.page, "Leave that out") {
		t.Errorf("a service manager that refuses: %s", p.page)
	}
	if _, err := os.Lstat(unit); err == nil {
		t.Error("what was refused is left installed")
	}

	if err := os.Remove(filepath.Join(p.user, "refuse")); err != nil {
		t.Fatal(err)
	}
	p.send("/setup/begin", "login", "1", "drive", "1", "at", at)
	p.begun()
	t.Cleanup(func() { _ = p.tunesafe("unmount", at).Run() })
	p.safe(3)
	text, err := os.ReadFile(unit)
	if err != nil || !bytes.Contains(text, []byte(" agent --foreground --home ")) {
		t.Errorf("the unit: %v: %s", err, text)
	}
	if asked, err := os.ReadFile(filepath.Join(p.user, "asked")); err != nil || !bytes.Contains(asked, []byte("--user enable tunesafe-agent.service")) || bytes.Contains(asked, []byte("start")) {
		t.Errorf("asked of the service manager: %v: %s", err, asked) // this process does what the agent will
	}
	want, err := os.ReadFile(filepath.Join(music, "Album", "1.mp3"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(at, "Music", "Album", "1.mp3")); err != nil || !bytes.Equal(got, want) {
		t.Errorf("on the drive: %q, %v", got, err)
	}
	if config, err := os.ReadFile(filepath.Join(p.home, "config.toml")); err != nil || !bytes.Contains(config, []byte(at)) {
		t.Errorf("the agent is not to show the drive: %v: %s", err, config)
	}
	if out, err := p.tunesafe("uninstall").CombinedOutput(); err != nil {
		t.Errorf("uninstall: %v: %s", err, out)
	}
	if _, err := os.Lstat(unit); err == nil {
		t.Error("it is installed still")
	}
}
