package feed

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/store"
	"github.com/tunesafe/tunesafe/internal/store/mem"
	tsync "github.com/tunesafe/tunesafe/sync"
)

// rig is a folder, and a home that backs it up into a bucket in memory.
type rig struct {
	t    testing.TB
	dir  string // the folder
	home string

	st    *store.Counter
	keys  *repo.Keys
	dev   *repo.Device
	index *repo.Index
	rd    *repo.Reader
	cache *cache.Cache
	w     *tsync.Worker
	stop  func()

	o Options // of the runs to come
}

const placeName = "Music"

func newRig(t testing.TB) *rig {
	t.Helper()
	return newRigAt(t, t.TempDir())
}

// newRigAt makes a rig with a folder that is there.
func newRigAt(t testing.TB, dir string) *rig {
	t.Helper()
	ctx, m := context.Background(), mem.New()
	id, err := repo.NewRecoveryKey()
	must(t, err)
	keys, root, err := repo.Create(ctx, m, id)
	must(t, err)
	r := &rig{t: t, dir: dir, home: t.TempDir(), st: store.Count(m), keys: keys}
	r.dev, err = repo.Enrol(ctx, m, keys, root, "rig")
	must(t, err)
	r.open()
	t.Cleanup(r.close)
	_, err = Attach(r.cache, Settings{Name: placeName, Root: r.dir})
	must(t, err)
	return r
}

// open opens the home as a start of the program does.
func (r *rig) open() {
	r.t.Helper()
	var err error
	r.index, err = repo.OpenIndex(filepath.Join(r.home, "index.db"))
	must(r.t, err)
	r.rd = repo.NewReader(r.st, r.keys, r.index, filepath.Join(r.home, "packs"), repo.ReaderOptions{})
	r.cache, err = cache.Open(r.home, cache.Options{Fetcher: tsync.NewFetcher(r.rd), InoBase: 5 << 32, Log: slog.New(slog.DiscardHandler)})
	must(r.t, err)
	r.cache.SetDevice(r.dev.ID)
	r.w = tsync.New(tsync.Options{Cache: r.cache, Store: r.st, Keys: r.keys, Device: r.dev, Index: r.index, Reader: r.rd,
		Dir: r.home, Log: slog.New(slog.DiscardHandler), Settle: 10 * time.Millisecond})
	_, err = r.w.Pull(context.Background())
	must(r.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); r.w.Run(ctx) }()
	r.stop = func() { cancel(); <-ended }
	r.o = Options{Cache: r.cache, Keys: r.keys, Place: placeName, Settle: time.Nanosecond, Limits: r.o.Limits, DryRun: r.o.DryRun, Avoid: r.o.Avoid}
}

func (r *rig) close() {
	if r.stop == nil {
		return
	}
	r.stop()
	r.stop = nil
	r.rd.Close()
	if err := r.cache.Close(); err != nil {
		r.t.Error("closing the cache:", err)
	}
	if err := r.index.Close(); err != nil {
		r.t.Error("closing the index:", err)
	}
}

// run makes one run that has to succeed.
func (r *rig) run() Report {
	r.t.Helper()
	rep, err := Run(context.Background(), r.o)
	if err != nil {
		r.t.Fatal("run:", err)
	}
	for _, p := range rep.Problems {
		r.t.Errorf("problem: %s: %v", p.Path, p.Err)
	}
	return rep
}

// backup runs until all is safe.
func (r *rig) backup() Report {
	r.t.Helper()
	rep := r.run()
	r.wait()
	return rep
}

func (r *rig) wait() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	if err := r.w.Wait(ctx); err != nil {
		r.t.Fatalf("wait: %v; status %+v", err, r.w.Status())
	}
	rec, err := loadRecord(r.cache, r.place().Dir)
	must(r.t, err)
	for _, ino := range r.cache.Stale() {
		if len(rec.Held) > 0 {
			continue // it went, or to where a name is held, before it was safe
		}
		paths, _ := r.cache.Paths([]cache.Ino{ino})
		r.t.Errorf("stale: %q: %v", paths[ino], r.cache.StaleReason(ino))
	}
	if r.t.Failed() {
		r.t.FailNow()
	}
}

func (r *rig) in(name string) string { return filepath.Join(r.dir, name) }

func (r *rig) write(name, text string) {
	r.t.Helper()
	must(r.t, os.MkdirAll(filepath.Dir(r.in(name)), 0o755))
	must(r.t, os.WriteFile(r.in(name), []byte(text), 0o644))
}

// secretly writes and puts the mtime back.
func (r *rig) secretly(name, text string) {
	r.t.Helper()
	info, err := os.Stat(r.in(name))
	must(r.t, err)
	if int64(len(text)) != info.Size() {
		r.t.Fatalf("%s has %d bytes, not %d", name, info.Size(), len(text))
	}
	r.write(name, text)
	must(r.t, os.Chtimes(r.in(name), info.ModTime(), info.ModTime()))
}

// place is the place as it is now.
func (r *rig) place() cache.Place {
	r.t.Helper()
	p, err := Find(r.cache, placeName)
	must(r.t, err)
	return p
}

// same compares the place with the folder: names, types, modes, owners, times,
// links, attributes and bytes.
func (r *rig) same() {
	r.t.Helper()
	want, got := r.folderTree(), r.placeTree()
	for _, p := range sortedKeys(want) {
		if got[p] == "" {
			r.t.Errorf("%q is not in the place", p)
		} else if got[p] != want[p] {
			r.t.Errorf("%q:\n folder %s\n place  %s", p, want[p], got[p])
		}
	}
	for _, p := range sortedKeys(got) {
		if want[p] == "" {
			r.t.Errorf("%q is in the place only", p)
		}
	}
}

func sortedKeys(m map[string]string) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// firstNames gives each inode the first of its names, which stands for the links.
type firstNames map[uint64]string

func (f firstNames) of(ino uint64, path string) string {
	if f[ino] == "" {
		f[ino] = path
	}
	return f[ino]
}

func (r *rig) folderTree() map[string]string {
	r.t.Helper()
	m, first := map[string]string{}, firstNames{}
	must(r.t, filepath.WalkDir(r.dir, func(p string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(r.dir, p)
		var st unix.Stat_t
		if err := unix.Lstat(p, &st); err != nil {
			return err
		}
		body, note := "", ""
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			body = string(b)
		case unix.S_IFLNK:
			body, _ = os.Readlink(p)
		}
		v := make([]byte, 100)
		if n, err := unix.Lgetxattr(p, "user.note", v); err == nil {
			note = string(v[:n])
		}
		m[rel] = describe(rel, first, st.Ino, st.Mode, st.Uid, st.Gid, time.Unix(st.Mtim.Unix()), body, note)
		return nil
	}))
	return m
}

func describe(rel string, first firstNames, ino uint64, mode, uid, gid uint32, mtime time.Time, body, note string) string {
	link := ""
	if mode&unix.S_IFMT != unix.S_IFDIR {
		link = first.of(ino, rel)
	}
	return fmt.Sprintf("%o %d:%d %s link %q note %q %d bytes %x", mode, uid, gid, mtime.UTC().Format(time.RFC3339Nano), link, note, len(body), bytesSum(body))
}

func bytesSum(s string) (sum uint64) {
	for i := range len(s) {
		sum = sum*1099511628211 + uint64(s[i])
	}
	return sum
}

func (r *rig) placeTree() map[string]string {
	r.t.Helper()
	m, first := map[string]string{}, firstNames{}
	add := func(rel string, ino cache.Ino) error {
		a, err := r.cache.Attr(ino)
		if err != nil {
			return err
		}
		body := ""
		switch a.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			body = string(r.read(ino, a.Size))
		case unix.S_IFLNK:
			if body, err = r.cache.Readlink(ino); err != nil {
				return err
			}
		}
		note, _ := r.cache.GetXattr(ino, "user.note")
		m[rel] = describe(rel, first, ino, a.Mode, a.UID, a.GID, a.Mtime, body, string(note))
		return nil
	}
	must(r.t, add(".", r.place().Dir))
	must(r.t, r.cache.EachFed(r.place().Dir, func(p string, e cache.FedEntry) error { return add(p, e.Ino) }))
	return m
}

func (r *rig) read(ino cache.Ino, size int64) []byte {
	r.t.Helper()
	h, err := r.cache.OpenFile(ino, cache.OpenFlags{Read: true, Ordinary: true})
	must(r.t, err)
	defer h.Release()
	p := make([]byte, size)
	if n, err := h.ReadAt(context.Background(), p, 0); err != nil || int64(n) != size {
		r.t.Fatalf("inode %x: read %d of %d: %v", ino, n, size, err)
	}
	return p
}

// ino is the inode of a name in the place.
func (r *rig) ino(name string) cache.Ino {
	r.t.Helper()
	a, err := tsync.Resolve(r.cache, "/"+placeName+"/"+name)
	must(r.t, err)
	return a.Ino
}

// track is an MP3 file of noise with an ID3 tag, which is empty if all texts are.
func track(title, artist, album string, seed uint64) string {
	var b bytes.Buffer
	var frames bytes.Buffer
	for _, f := range [][2]string{{"TIT2", title}, {"TPE1", artist}, {"TALB", album}} {
		if f[1] == "" {
			continue
		}
		frames.WriteString(f[0])
		binary.Write(&frames, binary.BigEndian, uint32(len(f[1])+1))
		frames.WriteString("\x00\x00\x00" + f[1])
	}
	if frames.Len() > 0 {
		frames.Write(make([]byte, 64))
		n := frames.Len()
		b.WriteString("ID3\x03\x00\x00")
		b.Write([]byte{0, byte(n >> 14 & 0x7f), byte(n >> 7 & 0x7f), byte(n & 0x7f)})
		b.Write(frames.Bytes())
	}
	noise := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	for range 60 { // 25 kB: more than the probe
		b.WriteString("\xff\xfb\x90\x64")
		_, _ = io.CopyN(&b, noise, 413)
	}
	return b.String()
}

// body is text and noise that does not compress.
func body(text string) string {
	noise := make([]byte, 6000)
	_, _ = rand.NewChaCha8([32]byte([]byte(fmt.Sprintf("%-32s", text)))).Read(noise)
	return text + string(noise)
}

// asNobody runs the test in a program of another user, as root may do all.
func asNobody(t *testing.T) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "test")
	must(t, os.Chmod(filepath.Dir(filepath.Dir(program)), 0o755))
	b, err := os.ReadFile("/proc/self/exe")
	must(t, err)
	must(t, os.WriteFile(program, b, 0o755))
	cmd := exec.CommandContext(t.Context(), program, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v\n%s", err, out)
	}
}

// library writes n tracks in albums of ten.
func (r *rig) library(n int) (paths []string) {
	r.t.Helper()
	for i := range n {
		p := fmt.Sprintf("Artist %d/Album %d/%02d Title.mp3", i/40, i/10, i%10)
		r.write(p, track(fmt.Sprint("Title ", i), fmt.Sprint("Artist ", i/40), fmt.Sprint("Album ", i/10), uint64(i)))
		paths = append(paths, p)
	}
	return paths
}

func (r *rig) puts() int64 {
	n := r.st.Counts()
	return n.Puts
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// words shows what a report counts.
func words(r Report) string {
	var w []string
	for _, c := range []struct {
		n    int64
		name string
	}{{r.New, "new"}, {r.Changed, "changed"}, {r.Attributes, "attributes"}, {r.Moved, "moved"}, {r.Gone, "gone"}, {r.Unchanged, "unchanged"}} {
		if c.n > 0 {
			w = append(w, fmt.Sprint(c.n, " ", c.name))
		}
	}
	for _, h := range r.Held {
		w = append(w, strings.TrimSpace(fmt.Sprint("held ", h.Files, " ", h.Kind, " ", h.Decision)))
	}
	return strings.Join(w, ", ")
}
