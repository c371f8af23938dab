package e2e

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/tests/musiclib"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// sambaConfig is what the README says of a drive for other computers, with all that
// smbd writes in a folder of the test, for guests who are whoever runs it.
const sambaConfig = `[global]
server role = standalone server
interfaces = 127.0.0.1
bind interfaces only = yes
smb ports = %[2]d
map to guest = Bad User
guest account = %[3]s
disable spoolss = yes
load printers = no
private dir = %[1]s
lock directory = %[1]s
state directory = %[1]s
cache directory = %[1]s
pid directory = %[1]s
ncalrpc dir = %[1]s/rpc
vfs objects = catia fruit streams_xattr
fruit:metadata = stream
fruit:posix_rename = yes
fruit:veto_appledouble = no

[music]
path = %[4]s
read only = no
guest ok = yes
`

// share is a drive that Samba exports.
type share struct {
	t    testing.TB
	port int
}

func exported(t testing.TB, path string) share {
	t.Helper()
	smbd := tools.Need(t, "smbd", "smbclient")[0]
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := share{t, l.Addr().(*net.TCPAddr).Port}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	user, err := exec.Command("id", "-un").Output()
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "smb.conf")
	text := fmt.Sprintf(sambaConfig, dir, s.port, strings.TrimSpace(string(user)), path)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(smbd, "--foreground", "--no-process-group", "--configfile="+config, "--log-basename="+dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		if log, err := os.ReadFile(filepath.Join(dir, "log.smbd")); t.Failed() && err == nil {
			t.Logf("%.4000s", log)
		}
	})
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		c, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", s.port))
		if err == nil {
			c.Close()
			return s
		}
		if time.Now().After(end) {
			t.Fatalf("smbd does not answer: %v", err)
		}
	}
}

// do has smbclient carry out commands, in a folder of this machine.
func (s share) do(dir string, commands ...string) {
	s.t.Helper()
	cmd := exec.Command("smbclient", "//127.0.0.1/music", "--no-pass", "--port", fmt.Sprint(s.port), "--configfile=/dev/null",
		"--command", "recurse ON; prompt OFF; "+strings.Join(commands, "; "))
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "NT_STATUS_") {
		s.t.Fatalf("smbclient %q: %v\n%s", commands, err, out)
	}
}

// TestSamba has Samba export the drive, as one would for iTunes on another computer: an
// album is copied on, read through from a cold home, and retagged there.
func TestSamba(t *testing.T) {
	if tools.Tier() == "ci" {
		t.Log("a show of the other tiers")
		return
	}
	p, proxy := counted(t)
	h := newDrive(t, p)
	album := tempDir(t)
	if err := os.Mkdir(filepath.Join(album, "Album"), 0o755); err != nil {
		t.Fatal(err)
	}
	copyTree(t, music(t, false), filepath.Join(album, "Album"))
	exported(t, h.At).do(album, "mput Album")
	wait(h)
	sameFiles(t, album, h.At)

	cold := coldDrive(t, p, lose(h))
	proxy.Reset()
	s := exported(t, cold.At)
	played := tempDir(t)
	s.do(played, "mget Album")
	sameFiles(t, album, played)
	figure(t, "samba: %s read through from a cold drive, %s down", size(sizeOf(t, album)), size(proxy.Stats().Down))

	tools.Retag(t, played, tools.RetagOptions{From: musiclib.FirstArtist, To: "Sibelius"})
	proxy.Reset()
	s.do(played, "mput Album") // files written anew, whole
	wait(cold)
	sameFiles(t, played, cold.At)
	n := proxy.Stats()
	noSound(t, n)
	figure(t, "samba: retagged by writing all of it anew: %s up in %d PUTs", size(n.Up), n.Ops["PutObject"].Requests)
	drain(cold)
	cold.Run("check", "--read")
}

// sameFiles wants two folders to have the same files with the same bytes. SMB keeps
// neither modes nor owners.
func sameFiles(t testing.TB, a, b string) {
	t.Helper()
	if out, err := exec.Command("diff", "-rq", a, b).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func sizeOf(t testing.TB, dir string) (sum int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			var info fs.FileInfo
			if info, err = e.Info(); err == nil {
				sum += info.Size()
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sum
}
