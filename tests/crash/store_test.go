package crash

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/tests/s3proxy"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// storeFault is one way in which a store fails.
type storeFault struct {
	name   string
	faults s3proxy.Faults
	before func(*http.Request) s3proxy.Action
	as     func(*rig) s3proxy.Identity
	heals  bool // everything becomes safe while it lasts
	slow   bool // an attempt lasts a minute: not in the small runs
}

// refuseAll refuses every request with a code of S3's.
func refuseAll(status int, code string) func(*http.Request) s3proxy.Action {
	return func(*http.Request) s3proxy.Action { return s3proxy.Refuse(status, code) }
}

var storeFaults = []storeFault{
	{name: "500", faults: s3proxy.Faults{Internal: 1}},
	{name: "SlowDown", faults: s3proxy.Faults{Unavailable: 1}},
	{name: "429", faults: s3proxy.Faults{TooMany: 1}},
	{name: "upload cut", faults: s3proxy.Faults{CutUp: 1, Ops: []string{"PutObject"}}},
	{name: "answer cut", faults: s3proxy.Faults{CutDown: 1}},
	{name: "reply lost", faults: s3proxy.Faults{Lose: 1, Ops: []string{"PutObject"}}},
	{name: "reply of a commit lost", faults: s3proxy.Faults{Lose: 1, Ops: []string{"PutObject"}, Prefixes: []string{"log/"}}},
	{name: "upload damaged", faults: s3proxy.Faults{DamageUp: 1, Ops: []string{"PutObject"}}},
	{name: "ExpiredToken", before: refuseAll(http.StatusBadRequest, "ExpiredToken")},
	{name: "InvalidAccessKeyId", before: refuseAll(http.StatusForbidden, "InvalidAccessKeyId")},
	{name: "clock", heals: true, as: func(r *rig) s3proxy.Identity {
		i := r.identity()
		i.Clock = 20 * time.Minute
		return i
	}},
	{name: "mute", faults: s3proxy.Faults{Mute: 1}, slow: true},
	{name: "drip", faults: s3proxy.Faults{Drip: 1, Ops: []string{"ListObjectsV2"}}, slow: true},
}

// identity signs anew for the server behind the proxy.
func (r *rig) identity() s3proxy.Identity {
	return s3proxy.Identity{AccessKey: r.server.AccessKey, SecretKey: r.server.SecretKey, Region: "us-east-1"}
}

// TestStoreFaults has the store fail in every way while albums are copied and
// retagged: programs notice nothing, status says what is wrong as long as it is,
// the store is not stormed, and when it is over all becomes safe by itself.
func TestStoreFaults(t *testing.T) {
	t.Parallel() // it mostly waits
	tools.Need(t, tools.Mutagen)
	r := newRig(t, 1, 3)
	album := filepath.Dir(r.sum.Tracks[0].Path)
	mirror := t.TempDir()
	r.Mount(settle)
	for i, f := range storeFaults {
		if f.slow && tools.Tier() == "ci" {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			r.proxy.Reset()
			r.proxy.Set(f.faults)
			r.proxy.Before(f.before)
			if f.as != nil {
				r.proxy.As(f.as(r))
			}
			begun := time.Now()
			r.load(t, mirror, album, fmt.Sprintf("%02d %s", i, f.name))
			r.suffer(t, f, begun)
			r.proxy.Set(s3proxy.Faults{})
			r.proxy.Before(nil)
			eventually(t, "everything becomes safe by itself", 2*time.Minute, func() bool { return r.Status().Safe() })
			if s := r.Status(); s.Trouble != nil {
				t.Errorf("all is safe, and status still says: %s", s.Trouble.Text)
			}
			r.proxy.As(s3proxy.Identity{})
		})
	}
	r.mustBecomeSafe()
	sameFiles(t, mirror, r.At)
	sameFiles(t, mirror, r.fromBucketAlone().At)
}

// suffer waits while the fault does its work.
func (r *rig) suffer(t *testing.T, f storeFault, begun time.Time) {
	t.Helper()
	failed := func() (n int64) {
		for _, k := range r.proxy.Stats().Faults {
			n += k
		}
		return n
	}
	if f.heals {
		eventually(t, "the fault is met", 3*time.Minute, func() bool { return failed() > 0 })
		return
	}
	// What passes is tried again for some time before anybody is told.
	brief := tools.Tier() == "ci" && f.before == nil
	eventually(t, "status says what is wrong", 3*time.Minute, func() bool {
		s := r.Status()
		return s.Trouble != nil && s.Trouble.Hint != "" && !s.Safe() || brief && failed() >= 3
	})
	took, asked := time.Since(begun), r.proxy.Stats().Requests
	if most := int64(20 + took.Minutes()*4); asked > most {
		t.Errorf("%d requests in %v of failing, more than %d", asked, took, most)
	}
	t.Logf("figure: %d requests in the first %.0f s", asked, took.Seconds())
	if s := r.Status(); s.Trouble != nil {
		t.Logf("figure: status says: %s; hint: %s", s.Trouble.Text, s.Trouble.Hint)
	}
}

// load copies an album onto the drive under another name, retags it with a real
// tagger and reads it back; mirror has the same done on an ordinary disk.
func (r *rig) load(t *testing.T, mirror, album, name string) {
	t.Helper()
	for _, root := range []string{mirror, r.At} {
		to := filepath.Join(root, name)
		if out, err := exec.Command("cp", "-a", filepath.Join(r.lib, album), to).CombinedOutput(); err != nil {
			t.Fatalf("cp -a: %v\n%s", err, out)
		}
		tools.Retag(t, to, tools.RetagOptions{To: "Artist of " + name})
	}
	sameFiles(t, filepath.Join(mirror, name), filepath.Join(r.At, name))
}

// sameFiles compares names and bytes of all regular files; the times of what a
// tagger wrote twice differ.
func sameFiles(t *testing.T, want, got string) {
	t.Helper()
	files := regular(t, want)
	for _, f := range files {
		sameBytes(t, filepath.Join(want, f), filepath.Join(got, f))
	}
	if n := len(regular(t, got)); n != len(files) {
		t.Errorf("%s holds %d files, %s %d", got, n, want, len(files))
	}
}

// TestCredentialsExpire has the store forget the access key: status and the log
// say so and what to do, and new credentials in the home's file are taken up
// without a command.
func TestCredentialsExpire(t *testing.T) {
	t.Parallel() // it mostly waits
	r := newRig(t, 1, 3)
	r.Mount(settle)
	i := r.identity()
	i.Only = "NEWKEY"
	r.proxy.As(i)
	r.copyAll()
	eventually(t, "status says what is wrong", 3*time.Minute, func() bool {
		s := r.Status()
		return s.Trouble != nil && strings.Contains(s.Trouble.Text, "access denied") && strings.Contains(s.Trouble.Hint, "credentials.toml")
	})
	if log := r.Log(); !strings.Contains(log, "InvalidAccessKeyId") || !strings.Contains(log, "hint=") {
		t.Errorf("the log does not say what to do:\n%s", log)
	}
	if shown := r.Run("status"); !strings.Contains(shown, "uploads wait: ") || !strings.Contains(shown, "hint: ") {
		t.Errorf("status does not say what to do:\n%s", shown)
	}
	file := filepath.Join(r.Dir, "credentials.toml")
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(old), r.server.AccessKey, "NEWKEY")), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "everything becomes safe by itself", 2*time.Minute, func() bool { return r.Status().Safe() })
	r.mustBecomeSafe()
	r.proxy.As(s3proxy.Identity{})
	tools.SameTree(t, r.lib, r.fromBucketAlone().At)
}
