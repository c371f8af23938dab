// Package nights shows what years of backups come to: a library is retagged, added to
// and deleted from at random, night after night, and backed up by the program itself
// to a real server. Then the past is looked at, most of it is pruned, and what is left in
// the bucket is compared with a model that knows the format from FORMAT.md and the
// folder from its own notes, and nothing of the program.
//
// The tier of the run chooses between a library of some hundred tracks and one of
// 20,000 with 400 nights. TUNESAFE_NIGHTS names a folder in which the nights are kept: a run that
// finds some there goes on from them.
package nights

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
	"github.com/tunesafe/tunesafe/tests/drive"
	"github.com/tunesafe/tunesafe/tests/musiclib"
	"github.com/tunesafe/tunesafe/tests/s3proxy"
	"github.com/tunesafe/tunesafe/tests/tools"
)

func TestMain(m *testing.M) { os.Exit(drive.Main(m)) }

// shape is how large a history is.
type shape struct {
	tracks, nights int
	kept           int // nights that the prune keeps
	retags         int // a night
	comings        int // tracks that come in a night, and that go, on average
	bytes          int // of a track, on average
	checkpoint     int // commits between checkpoints; 0 is the program's own choice
}

func shapeOf() shape {
	switch tools.Tier() {
	case "soak":
		return shape{tracks: 20_000, nights: 400, kept: 100, retags: 200, comings: 10, bytes: 12_000}
	case "e2e":
		return shape{tracks: 2000, nights: 60, kept: 15, retags: 20, comings: 5, bytes: 40_000, checkpoint: 30}
	}
	return shape{tracks: 300, nights: 6, kept: 2, retags: 100, comings: 6, bytes: 40_000, checkpoint: 3}
}

// years is a library, its home, and the two repositories that it is backed up to.
type years struct {
	*drive.Home
	t      testing.TB
	shape  shape
	dir    string
	server *realserver.Server
	own    *s3proxy.Proxy // counts the requests of Tunesafe
	peer   *s3proxy.Proxy // and those of restic
	music  *music
	ledger []night
}

// night is what the ledger keeps of one.
type night struct {
	Began, Ended time.Time
	change
	Own, Peer cost
	History   int64 // bytes of the history's database
}

// cost is what one run of a program took.
type cost struct {
	Wall, CPU      float64 // seconds
	Memory         int64   // bytes, at most
	Requests, Puts int64
	Up, Down       int64 // bytes of bodies
	Stored         int64 // bytes in the bucket afterwards
}

// TestNights is the show: see the package's comment.
func TestNights(t *testing.T) {
	y := newYears(t)
	for len(y.ledger) < y.shape.nights {
		y.night()
	}
	y.tellNights()
	y.unchanged("after the last night")
	y.lookBack()
	y.prune()
	y.cold()
}

func figure(t testing.TB, format string, args ...any) {
	t.Helper()
	t.Logf("figure: "+format, args...)
}

// newYears makes the library and both repositories, or takes up those that are kept.
func newYears(t testing.TB) *years {
	t.Helper()
	drive.NeedFUSE(t)
	tools.Need(t, append([]string{tools.Mutagen, "restic"}, musiclib.Tools...)...)
	dir := os.Getenv("TUNESAFE_NIGHTS")
	if dir == "" {
		dir = t.TempDir()
	}
	y := &years{t: t, shape: shapeOf(), dir: dir}
	for _, sub := range []string{"s3", "base"} {
		y.must(os.MkdirAll(filepath.Join(dir, sub), 0o755))
	}
	y.server = realserver.StartVersityIn(t, filepath.Join(dir, "s3"))
	y.Home = drive.NewIn(t, y.server, drive.Program(t), filepath.Join(dir, "base"))
	y.listen()
	y.music = newMusic(t, filepath.Join(dir, "Music"), filepath.Join(dir, "shelf"))
	if y.resume(); len(y.ledger) > 0 {
		return y
	}
	y.music.make(y.shape)
	y.Init(y.own.URL)
	if n := y.shape.checkpoint; n > 0 {
		config := filepath.Join(y.Home.Dir, "config.toml")
		old, err := os.ReadFile(config)
		y.must(err)
		line := regexp.MustCompile(`(?m)^checkpoint_commits = .*$`)
		y.must(os.WriteFile(config, line.ReplaceAll(old, fmt.Appendf(nil, "checkpoint_commits = %d", n)), 0o600))
	}
	if out, err := y.restic("init").CombinedOutput(); err != nil {
		t.Fatalf("restic init: %v\n%s", err, out)
	}
	return y
}

// listen starts the proxies. The home remembers where its own was.
func (y *years) listen() {
	at := "127.0.0.1:0"
	name := filepath.Join(y.dir, "endpoint")
	if b, err := os.ReadFile(name); err == nil {
		at = string(b)
	}
	var err error
	y.own, err = s3proxy.Listen(at, y.server.Endpoint)
	y.must(err)
	y.own.SetRoot(drive.Prefix)
	y.peer = s3proxy.Start(y.server.Endpoint)
	y.t.Cleanup(func() { y.own.Close(); y.peer.Close() })
	y.must(os.WriteFile(name, []byte(strings.TrimPrefix(y.own.URL, "http://")), 0o600))
}

func (y *years) must(err error) {
	y.t.Helper()
	if err != nil {
		y.t.Fatal(err)
	}
}

// resume reads the ledger of the nights that are kept.
func (y *years) resume() {
	f, err := os.Open(y.ledgerFile())
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	y.must(err)
	defer f.Close()
	for d := json.NewDecoder(f); d.More(); {
		var n night
		y.must(d.Decode(&n))
		y.ledger = append(y.ledger, n)
		y.music.apply(n.change)
	}
	y.t.Logf("going on after %d nights", len(y.ledger))
	if cut := y.music.differs(); len(cut.Set)+len(cut.Gone) > 0 { // the night that was cut short
		y.backUp(night{Began: time.Now().UTC(), change: cut})
	}
}

func (y *years) ledgerFile() string { return filepath.Join(y.dir, "ledger.jsonl") }

// note adds a night to the ledger.
func (y *years) note(n night) {
	y.ledger = append(y.ledger, n)
	b, err := json.Marshal(n)
	y.must(err)
	f, err := os.OpenFile(y.ledgerFile(), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	y.must(err)
	_, err = f.Write(append(b, '\n'))
	y.must(errors.Join(err, f.Close()))
}

// night changes the folder, and backs it up.
func (y *years) night() {
	y.t.Helper()
	n := night{Began: time.Now().UTC()}
	if len(y.ledger) == 0 {
		n.change = y.music.all()
	} else {
		n.change = y.music.change(y.shape, y.ledger)
	}
	y.backUp(n)
}

// backUp has both programs back the folder up, at once, as both only read it.
func (y *years) backUp(n night) {
	y.t.Helper()
	peer := make(chan error, 1)
	go func() {
		var err error
		n.Peer, err = y.measure(y.restic("backup", "-q", y.music.dir), y.peer, "restic")
		peer <- err
	}()
	var err error
	n.Own, err = y.measure(y.Command("backup", y.music.dir), y.own, "music/library")
	y.must(errors.Join(err, <-peer))
	if len(y.ledger) == 0 {
		y.Run("snapshots") // from now on each night is taken into the history
		y.unchanged("after the first night")
	}
	if info, err := os.Stat(filepath.Join(y.Home.Dir, "state", "history.db")); err == nil {
		n.History = info.Size()
	}
	n.Ended = time.Now().UTC()
	y.note(n)
	if k := len(y.ledger); k%20 == 0 {
		y.t.Logf("%s: night %d: %+v; restic %+v", n.Ended.Format(time.TimeOnly), k, n.Own, n.Peer)
	}
}

// measure runs a command behind a counting proxy.
func (y *years) measure(cmd *exec.Cmd, proxy *s3proxy.Proxy, bucket string) (c cost, err error) {
	proxy.Reset()
	began := time.Now()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return c, err
	}
	memory := watchMemory(cmd.Process.Pid)
	err = cmd.Wait()
	c.Memory = memory()
	if err != nil {
		return c, fmt.Errorf("%q: %w\n%s", cmd.Args, err, out.Bytes())
	}
	s := proxy.Reset()
	c = cost{Memory: c.Memory, Wall: time.Since(began).Seconds(), CPU: (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(),
		Requests: s.Requests, Puts: s.Ops["PutObject"].Requests, Up: s.Up, Down: s.Down}
	c.Stored, err = stored(filepath.Join(y.server.Dir, bucket))
	return c, err
}

// watchMemory looks at the most memory that a process took so far until the returned
// function is called, which gives it. What the kernel tells at a process's end counts that of
// its parent at the fork, too.
func watchMemory(pid int) func() int64 {
	quit, most := make(chan struct{}), make(chan int64)
	go func() {
		last := int64(0)
		for {
			last = max(last, peakMemory(pid))
			select {
			case <-quit:
				most <- last
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return func() int64 { close(quit); return <-most }
}

// peakMemory is the most that a process had in memory; 0 if it is not known any more.
func peakMemory(pid int) int64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if found := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status); found != nil {
		n, _ := strconv.ParseInt(string(found[1]), 10, 64)
		return n << 10
	}
	return 0
}

// stored counts the bytes of all objects below a folder of the server.
func stored(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	return n, err
}

func (y *years) restic(args ...string) *exec.Cmd {
	cmd := exec.Command("restic", args...)
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "AWS_") { // what is set for another account is none of its
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(cmd.Env, "AWS_ACCESS_KEY_ID="+y.server.AccessKey, "AWS_SECRET_ACCESS_KEY="+y.server.SecretKey,
		"RESTIC_REPOSITORY=s3:"+y.peer.URL+"/restic", "RESTIC_PASSWORD=x", "RESTIC_CACHE_DIR="+filepath.Join(y.dir, "restic-cache"))
	return cmd
}

// unchanged backs up what did not change: it asks the store for nothing.
func (y *years) unchanged(when string) {
	y.t.Helper()
	c, err := y.measure(y.Command("backup", y.music.dir), y.own, "music/library")
	y.must(err)
	figure(y.t, "an unchanged night %s: %.2f s, %.2f s of CPU, %s of memory, %d requests", when, c.Wall, c.CPU, humanize.IBytes(uint64(c.Memory)), c.Requests)
	if c.Requests != 0 {
		y.t.Errorf("an unchanged night %s made %d requests", when, c.Requests)
	}
}

// tellNights sums the nights up.
func (y *years) tellNights() {
	y.t.Helper()
	changed := 0
	for _, n := range y.ledger[1:] {
		changed += len(n.Set) + len(n.Gone)
	}
	figure(y.t, "%d tracks, %d nights with %d files changed, added, renamed or gone", len(y.ledger[0].Set), len(y.ledger)-1, changed)
	own := y.tell("tunesafe", func(n night) cost { return n.Own })
	restic := y.tell("restic", func(n night) cost { return n.Peer })
	figure(y.t, "history.db: %s after the first night, %s after the last", size(y.ledger[0].History), size(y.ledger[len(y.ledger)-1].History))
	if own > restic {
		y.t.Errorf("a night stored %.0f bytes, restic's %.0f", own, restic)
	}
}

// tell gives the figures of one program, and how many bytes a night stored.
func (y *years) tell(name string, of func(night) cost) float64 {
	y.t.Helper()
	var costs []cost
	requests := int64(0)
	for _, n := range y.ledger {
		if c := of(n); c.Stored > 0 {
			costs = append(costs, c)
			requests += c.Requests
		}
	}
	first, nights := costs[0], costs[1:]
	more := nights[len(nights)-1].Stored - first.Stored
	each := float64(more) / float64(len(nights))
	figure(y.t, "%s: first backup %s stored in %d requests; %d nights after it %s more, %s a night, in %d requests", name,
		size(first.Stored), first.Requests, len(nights), size(more), size(int64(each)), requests-first.Requests)
	tenth := max(1, len(nights)/10)
	for when, some := range map[string][]cost{"first": nights[:tenth], "last": nights[len(nights)-tenth:]} {
		figure(y.t, "%s: a night of the %s tenth took %.2f s of CPU, %.2f s, %s of memory (medians)", name, when, middle(some, cpu), middle(some, wall), size(int64(middle(some, memory))))
	}
	return each
}

func size(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

func cpu(c cost) float64    { return c.CPU }
func wall(c cost) float64   { return c.Wall }
func memory(c cost) float64 { return float64(c.Memory) }

// middle is the median of a figure of some nights.
func middle(nights []cost, what func(cost) float64) float64 {
	var all []float64
	for _, n := range nights {
		all = append(all, what(n))
	}
	slices.Sort(all)
	return all[len(all)/2]
}
