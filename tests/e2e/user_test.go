package e2e

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tunesafe/tunesafe/tests/drive"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// asUser runs a program as a plain user: $1 is the user, $2 the group, $3 a
// folder for a /dev/fuse that is open to all, as it is on most systems, in a
// mount namespace of the program's own. An empty $3 takes the one that is there.
const asUser = `set -e
uid=$1 gid=$2 dev=$3
shift 3
if [ -n "$dev" ]; then
	mknod -m 666 "$dev/fuse" c 10 229
	mount --bind "$dev/fuse" /dev/fuse
fi
exec setpriv --reuid="$uid" --regid="$gid" --clear-groups "$@"`

// The copy and the way back are a plain user's too: the same test, run by one.
func TestPlainUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user; here all the other tests are a plain user's")
	}
	drive.NeedFUSE(t)
	tools.Need(t, "setpriv", "unshare")
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skip(err)
	}
	base, err := os.MkdirTemp("", "tunesafe-user")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(base) })
	if err := os.Chmod(base, 0o755); err != nil {
		t.Fatal(err)
	}
	give := func(from, name string) string {
		to := filepath.Join(base, name)
		run(t, "cp", "-a", from, to)
		run(t, "chown", "-R", nobody.Uid+":"+nobody.Gid, to)
		return to
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	device := base
	if info, err := os.Stat("/dev/fuse"); err == nil && info.Mode()&0o006 == 0o006 {
		device = ""
	}
	tests := give(self, "e2e.test")
	cmd := exec.CommandContext(t.Context(), "unshare", "-m", "sh", "-c", asUser, "sh", nobody.Uid, nobody.Gid, device,
		tests, "-test.v", "-test.run=^TestCopyAndColdHome$/^own$", "-test.timeout=30m")
	tmp := give(t.TempDir(), "tmp")
	cmd.Dir = tmp
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp, "HOME="+tmp,
		musicEnv+"="+give(music(t, false), "music"), scriptEnv+"="+give(script(t), "restore.py"),
		"TUNESAFE_PROGRAM="+give(drive.Program(t), "tunesafe"))
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		t.Log(strings.TrimSpace(line))
	}
	if err != nil {
		t.Errorf("as %s: %v", nobody.Username, err)
	}
	if !strings.Contains(string(out), "--- PASS: TestCopyAndColdHome/own") && !t.Failed() {
		t.Error("the test did not run")
	}
}
