// Package nightly backs up a folder with the program itself while the folder
// changes at random, the store fails and the program is killed; and looks, once
// all is quiet, whether a home that has only the recovery key gets it all back.
package nightly

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
	"github.com/tunesafe/tunesafe/tests/drive"
	"github.com/tunesafe/tunesafe/tests/musiclib"
	"github.com/tunesafe/tunesafe/tests/place"
	"github.com/tunesafe/tunesafe/tests/s3proxy"
	"github.com/tunesafe/tunesafe/tests/tools"
)

func TestMain(m *testing.M) { os.Exit(drive.Main(m)) }

// Exit codes of backup: see tunesafe help backup.
const (
	partly = 4
	held   = 5
)

const (
	placeName     = "Music"
	backupTimeout = 3 * time.Minute // of one that nothing disturbs
	approvals     = 5               // as often an undisturbed backup may ask before it ends
)

// night is a folder, the home that backs it up, and a store that can be cut off.
type night struct {
	*drive.Home
	t      testing.TB
	rng    *rand.Rand
	dir    string
	server *realserver.Server
	proxy  *s3proxy.Proxy
	m      *mutator

	how map[string]int // what became of the backups that were disturbed
}

// TestChangesAndDeaths changes, backs up, kills, and compares, round after round.
func TestChangesAndDeaths(t *testing.T) {
	seed := tools.Seed(t)
	n := newNight(t, uint64(seed))
	n.quiet()
	for round := range tools.Count(t, 2, 50, 1000) {
		n.m.log.Reset()
		n.round()
		n.quiet()
		n.compare(round)
		if t.Failed() {
			t.Fatalf("round %d of seed %d; done:\n%s", round, seed, n.m.log.String())
		}
	}
	t.Logf("figure: %d changes while a backup ran; ends of %v", n.m.steps, n.how)
}

func newNight(t testing.TB, seed uint64) *night {
	t.Helper()
	drive.NeedFUSE(t)
	tools.Need(t, append([]string{tools.Mutagen}, musiclib.Tools...)...)
	server := realserver.StartEmbedded(t)
	n := &night{t: t, rng: rand.New(rand.NewPCG(seed, 4)), dir: filepath.Join(t.TempDir(), placeName),
		server: server, proxy: s3proxy.Start(server.Endpoint), how: map[string]int{}}
	t.Cleanup(n.proxy.Close)
	n.proxy.SetRoot(drive.Prefix)
	_, err := musiclib.Make(t.Context(), n.dir, musiclib.Options{
		Albums: 3, TracksPerAlbum: 6, TotalBytes: 2.5e6, ArtBytes: [2]int{4e3, 9e3}, Seed: 1, Xattrs: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	n.m = newMutator(t, n.dir, seed)
	n.m.fill()
	n.Home = drive.New(t, server)
	n.Init(n.proxy.URL)
	return n
}

// round has the folder changed while the backup of it is disturbed.
func (n *night) round() {
	mounted := n.rng.IntN(3) == 0
	if mounted {
		n.Mount("--settle=50ms")
	}
	stop := n.m.begin()
	var ended func()
	if mounted {
		ended = n.watch()
	}
	n.proxy.Set(n.faults())
	for range 2 + n.rng.IntN(3) {
		n.disturbed(mounted)
	}
	stop()
	n.proxy.Set(s3proxy.Faults{})
	if mounted {
		ended()
		if n.Mounted() {
			n.Run("unmount", n.At)
		}
	}
}

// faults are those of a bad line.
func (n *night) faults() s3proxy.Faults {
	if n.rng.IntN(3) == 0 {
		return s3proxy.Faults{}
	}
	return s3proxy.Faults{Unavailable: 0.05, Internal: 0.05, Drop: 0.05, Lose: 0.05, CutUp: 0.05, CutDown: 0.02,
		Seed: n.rng.Int64(), UpRate: 200_000 + n.rng.Int64N(2_000_000)}
}

// disturbed begins a backup, and ends it in one of the ways in which they end.
func (n *night) disturbed(mounted bool) {
	cmd := n.Command("backup", n.dir)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	victim := cmd.Process.Pid
	if mounted && n.rng.IntN(2) == 0 {
		victim = n.Pid()
	}
	time.Sleep(time.Duration(n.rng.Int64N(int64(4 * time.Second))))
	how, died := "", false
	switch n.rng.IntN(4) {
	case 0:
		how, died = "kill -9", true
		_ = syscall.Kill(victim, syscall.SIGKILL)
	case 1:
		how, died = "SIGTERM", true
		_ = syscall.Kill(victim, syscall.SIGTERM)
	case 2:
		how = "cut line"
		f := n.proxy.Faults()
		n.proxy.Set(s3proxy.Faults{Offline: true})
		time.Sleep(time.Duration(n.rng.Int64N(int64(time.Second))))
		n.proxy.Set(f)
		fallthrough
	default:
		how = "left alone"
		select {
		case <-done:
		case <-time.After(time.Duration(n.rng.Int64N(int64(6 * time.Second)))):
			how = "interrupted"
			_ = cmd.Process.Signal(syscall.SIGTERM)
		}
	}
	select {
	case <-done:
	case <-time.After(backupTimeout):
		_ = cmd.Process.Kill()
		<-done
		n.t.Fatalf("backup (%s) did not end:\n%s", how, out.Bytes())
	}
	code := cmd.ProcessState.ExitCode()
	n.how[fmt.Sprint(how, " ", code)]++
	if how == "left alone" && !slices.Contains([]int{0, partly, held}, code) {
		n.t.Errorf("backup: exit code %d\n%s", code, out.Bytes())
	}
	if died && victim != cmd.Process.Pid {
		n.AwaitEnd(victim)
		_ = exec.Command("fusermount3", "-u", "-z", n.At).Run()
		n.Mount("--settle=50ms")
	}
}

// quiet backs up with nothing in the way. What looks like a disaster is none here.
func (n *night) quiet() {
	n.t.Helper()
	for range approvals {
		stdout, stderr, code := n.backup()
		switch code {
		case 0:
			return
		case held:
			n.how["held"]++
			n.Run("approve")
		default:
			n.t.Fatalf("a backup with nothing in the way: exit code %d\n%s%s\ndone:\n%s", code, stdout, stderr, n.m.log.String())
		}
	}
	n.t.Fatalf("%d approvals, and it still asks", approvals)
}

func (n *night) backup() (stdout, stderr string, code int) {
	n.t.Helper()
	timer := time.AfterFunc(backupTimeout, func() { n.t.Errorf("a backup takes more than %v", backupTimeout) })
	defer timer.Stop()
	return n.Try("backup", n.dir)
}

// compare looks whether the bucket has the folder, and whether that is known.
func (n *night) compare(round int) {
	n.t.Helper()
	if stdout, stderr, code := n.Try("check", "--read"); code != 0 {
		n.t.Errorf("check --read: exit code %d\n%s%s", code, stdout, stderr)
	}
	n.proxy.Reset()
	stdout, stderr, code := n.backup()
	if said := strings.SplitN(stdout, "\n", 2)[0]; code != 0 || strings.Contains(said, ",") || !strings.HasSuffix(said, " unchanged") {
		n.t.Errorf("a backup of what did not change: exit code %d\n%s%s", code, stdout, stderr)
	}
	if puts := n.proxy.Stats().Ops["PutObject"]; puts.Requests != 0 {
		n.t.Errorf("a backup of what did not change sent %d objects", puts.Requests)
	}
	kept := filepath.Join(n.t.TempDir(), "recovery.key")
	key, err := os.ReadFile(filepath.Join(n.Dir, "recovery.key"))
	if err == nil {
		err = os.WriteFile(kept, key, 0o600)
	}
	if err != nil {
		n.t.Fatal(err)
	}
	cold := drive.New(n.t, n.server)
	cold.Adopt(n.proxy.URL, kept)
	out := filepath.Join(n.t.TempDir(), "out")
	cold.Run("restore", placeName, out)
	place.Same(n.t, n.dir, filepath.Join(out, placeName))
	sameOwners(n.t, n.dir, filepath.Join(out, placeName))
	for _, dir := range []string{out, cold.Dir} {
		if err := os.RemoveAll(dir); err != nil {
			n.t.Fatal(err)
		}
	}
	n.t.Logf("round %d: %s", round, strings.TrimSpace(stdout))
}

// sameOwners compares what [tools.SameTree] leaves out, and only root can give.
func sameOwners(t testing.TB, a, b string) {
	t.Helper()
	list := func(root string) string {
		cmd := exec.CommandContext(t.Context(), "find", ".", "-mindepth", "1", "-printf", `%U %G %p\0`)
		cmd.Dir = root
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("find %s: %v", root, err)
		}
		lines := strings.Split(string(out), "\x00")
		slices.Sort(lines)
		return strings.Join(lines, "\n")
	}
	if os.Geteuid() == 0 && list(a) != list(b) {
		t.Errorf("the owners of %s and %s differ", a, b)
	}
}
