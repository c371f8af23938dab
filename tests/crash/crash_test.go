// Package crash kills the program, cuts its line and ends it in every way that
// happens, and looks whether anything was lost or sent twice.
package crash

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
	"github.com/tunesafe/tunesafe/tests/drive"
	"github.com/tunesafe/tunesafe/tests/musiclib"
	"github.com/tunesafe/tunesafe/tests/s3proxy"
	"github.com/tunesafe/tunesafe/tests/tools"
)

func TestMain(m *testing.M) { os.Exit(drive.Main(m)) }

// settle is short, so that uploading begins while copying goes on.
const settle = "--settle=100ms"

// rig is a library, a drive, and a bucket behind a proxy.
type rig struct {
	*drive.Home
	t      testing.TB
	lib    string
	sum    musiclib.Summary
	files  []string // of the library, relative
	server *realserver.Server
	proxy  *s3proxy.Proxy

	backup     *exec.Cmd // of the library, under way
	said       bytes.Buffer
	ended      func() error  // waits for it
	slowestEnd time.Duration // from SIGTERM to the end of the program
	sleeps     int           // of the machine
}

// newRig makes a library of so many albums of six tracks of mb megabytes in all,
// and a home whose drive is not mounted yet.
func newRig(t testing.TB, albums int, mb float64) *rig {
	t.Helper()
	drive.NeedFUSE(t)
	tools.Need(t, musiclib.Tools...)
	server := realserver.StartEmbedded(t)
	r := &rig{t: t, lib: filepath.Join(t.TempDir(), "lib"), server: server, proxy: s3proxy.Start(server.Endpoint)}
	t.Cleanup(r.proxy.Close)
	r.proxy.SetRoot(drive.Prefix)
	var err error
	r.sum, err = musiclib.Make(t.Context(), r.lib, musiclib.Options{
		Albums: albums, TracksPerAlbum: 6, TotalBytes: int64(mb * 1e6), ArtBytes: [2]int{20e3, 60e3}, Seed: 1, Xattrs: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.files = regular(t, r.lib)
	r.Home = drive.New(t, server)
	r.Init(r.proxy.URL)
	return r
}

// regular lists the files below root in the order in which cp meets them.
func regular(t testing.TB, root string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files = append(files, strings.TrimPrefix(p, root+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// copyFile is cp -a, with the folders on the way, in a process of its own.
func (r *rig) copyFile(file string) error {
	cmd := exec.Command("cp", "-a", "--parents", file, r.At)
	cmd.Dir = r.lib
	return cmd.Run()
}

// copyAll is cp -a of the library onto the drive.
func (r *rig) copyAll() {
	r.t.Helper()
	if out, err := exec.Command("cp", "-a", r.lib+"/.", r.At).CombinedOutput(); err != nil {
		r.t.Fatalf("cp -a: %v\n%s", err, out)
	}
}

// mustBecomeSafe waits, and checks that the repository is whole.
func (r *rig) mustBecomeSafe() {
	r.t.Helper()
	r.Run("wait", "--timeout", "5m")
	if s := r.Status(); !s.Safe() {
		r.t.Errorf("after wait %d files and %d rows wait", s.WaitingFiles, s.WaitingRows)
	}
	if stdout, stderr, code := r.Try("check", "--read"); code != 0 {
		r.t.Errorf("check --read: exit code %d\n%s%s", code, stdout, stderr)
	}
}

// fromBucketAlone loses the home and reads everything back from the bucket, into
// a new one that has only the recovery key.
func (r *rig) fromBucketAlone() *drive.Home {
	r.t.Helper()
	r.Run("unmount", r.At)
	key := r.Lose()
	cold := drive.New(r.t, r.server)
	cold.Adopt(r.proxy.URL, key)
	cold.Mount()
	return cold
}

// audioBytes are the bytes of request bodies below audio/ since the proxy began.
func (r *rig) audioBytes() int64 { return r.proxy.Stats().PrefixOps["audio/"]["PutObject"].Up }

// eventually polls until ok.
func eventually(t testing.TB, what string, patience time.Duration, ok func() bool) {
	t.Helper()
	for begun := time.Now(); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Since(begun) > patience {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// sameBytes fails the test if a file on the drive is not that of another folder.
func sameBytes(t testing.TB, a, b string) {
	t.Helper()
	x, err := os.ReadFile(a)
	if err != nil {
		t.Error(err)
		return
	}
	y, err := os.ReadFile(b)
	if err != nil {
		t.Error(err)
		return
	}
	if !bytes.Equal(x, y) {
		t.Errorf("%s (%d bytes) and %s (%d bytes) differ", a, len(x), b, len(y))
	}
}
