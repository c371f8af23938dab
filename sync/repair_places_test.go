package sync

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/history"
	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// grow gives the bucket a past: tracks retagged again and again, by two devices.
func (h *hurt) grow() {
	h.t.Helper()
	other := h.w.device("other")
	sound := h.sound(80_000)
	for i := range 3 {
		h.files["o.wav"] = track(sound, fmt.Sprintf("other %03d", i))
		h.stored("o.wav")
		other.write("o.wav", h.files["o.wav"])
		other.wait()
	}
	other.close()
	h.d.open(h.w.st)
	for i := range 4 {
		name := fmt.Sprintf("%d.wav", i)
		p := bytes.Clone(h.files[name])
		copy(p[len(p)-8:], fmt.Sprintf("again %02d", i))
		h.files[name] = p
		h.stored(name)
		h.d.write(name, p)
		h.d.wait()
	}
	h.d.close()
	h.other, h.otherHome = other.dev.ID, From{Dir: other.dir, Contents: filepath.Join(other.dir, "content"), Packs: filepath.Join(other.dir, "packs"),
		Kept: repo.OpenKept(filepath.Join(other.dir, "kept"))}
}

// stored remembers what a file is made of now, as one of the states that may be read.
func (h *hurt) stored(names ...string) {
	if h.known == nil {
		h.known = map[[32]byte]bool{}
	}
	for _, name := range names {
		h.known[sha256.Sum256(h.files[name])] = true
	}
}

// versions reads every version of every file from the bucket alone, as a cold home does.
// What is read must have been stored; what cannot be is counted.
func (h *hurt) versions(d *device) (whole, failed int) {
	h.t.Helper()
	ctx := context.Background()
	db, err := history.Open(filepath.Join(d.dir, "history.db"), d.keys.RepoID())
	if err != nil {
		h.t.Fatal(err)
	}
	defer db.Close()
	certs, _, err := repo.Devices(ctx, h.w.st, d.keys)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := db.CatchUp(ctx, h.w.st, d.keys, certs, nil); err != nil {
		return 0, 1
	}
	for v, err := range db.EachVersion() {
		if err != nil {
			h.t.Fatal(err)
		}
		if v.Row.Type != "file" || slices.ContainsFunc(v.Row.Parts, repo.Part.Owed) {
			continue
		}
		p, err := assembled(ctx, d, FromRepo(v.Row).Recipe)
		switch {
		case err != nil:
			failed++
		case !h.known[sha256.Sum256(p)]:
			h.t.Errorf("a version of inode %x of %d bytes was never stored, and is believed", v.Row.Inode, len(p))
		default:
			whole++
		}
	}
	return whole, failed
}

// assembled puts a file together by its recipe.
func assembled(ctx context.Context, d *device, r *cache.Recipe) ([]byte, error) {
	var parts [][]byte
	for _, p := range r.Parts {
		var part []byte
		for _, b := range p.Blobs {
			whole, err := d.rd.Blob(ctx, b.ID)
			if err != nil {
				return nil, err
			}
			part = append(part, whole[b.Off:b.Off+b.Size]...)
		}
		parts = append(parts, part)
	}
	if len(r.Runs) == 0 && len(parts) == 1 {
		return parts[0], nil
	}
	var file []byte
	for _, run := range r.Runs {
		file = append(file, parts[run.Part][:run.Length]...)
		parts[run.Part] = parts[run.Part][run.Length:]
	}
	return file, nil
}

// script restores the bucket with tests/restore.py: it gives what was stored, or an error.
func (h *hurt) script() {
	h.t.Helper()
	python := tools.Need(h.t, "python3", "age", "zstd")[0]
	dir := h.t.TempDir()
	for _, key := range h.keys("") {
		name := filepath.Join(dir, "bucket", key)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			h.t.Fatal(err)
		}
		if err := os.WriteFile(name, h.get(key), 0o600); err != nil {
			h.t.Fatal(err)
		}
	}
	key := filepath.Join(dir, "key")
	if err := os.WriteFile(key, fmt.Append(nil, h.w.recovery), 0o600); err != nil {
		h.t.Fatal(err)
	}
	out, err := exec.CommandContext(h.t.Context(), python, "../tests/restore.py", filepath.Join(dir, "bucket"), key, filepath.Join(dir, "out")).CombinedOutput()
	n := 0
	for name := range h.files {
		p, failed := os.ReadFile(filepath.Join(dir, "out", name))
		if failed == nil && !h.known[sha256.Sum256(p)] {
			h.t.Errorf("%s: the script gives %d bytes that were never stored", name, len(p))
		}
		if failed == nil {
			n++
		}
	}
	if err == nil && n < len(h.files) {
		h.t.Errorf("the script restored %d of %d files, and calls that a success: %s", n, len(h.files), out)
	}
}

// another gives the bytes of another object of the same folder, in this bucket or, if
// foreign, in that of another repository; nil if there is none.
func (h *hurt) another(key string, foreign bool) (string, []byte) {
	folder, _, _ := strings.Cut(key, "/")
	list, get := h.keys, h.get
	if foreign {
		if h.foreign == nil {
			h.foreign = newHurt(h.t, int64(h.rng.Uint32()))
		}
		list, get = h.foreign.keys, h.foreign.get
	}
	keys := slices.DeleteFunc(list(folder), func(k string) bool {
		top, _, _ := strings.Cut(k, "/")
		return top != folder || k == key && !foreign || strings.HasPrefix(k, "devices/") && !foreign && !h.ours(k)
	})
	if len(keys) == 0 {
		return "", nil
	}
	k := keys[h.rng.IntN(len(keys))]
	return k, get(k)
}

// ours tells whether a certificate is of a device whose home is here, or was met.
func (h *hurt) ours(key string) bool {
	return strings.Contains(key, h.d.dev.ID) || h.other != "" && strings.Contains(key, h.other)
}

// TestRepairRefusesRot: bits that the disk of a folder lost, with its size and times as
// they were, are no source; the file once it is mended is one.
func TestRepairRefusesRot(t *testing.T) {
	tools.StepByStep(t)
	h := newHurt(t, tools.Seed(t))
	name := filepath.Join(h.fed, "f2.wav")
	good, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	write := func(p []byte) {
		t.Helper()
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err == nil {
			_, err = f.WriteAt(p, 0)
		}
		if err := errors.Join(err, f.Close(), os.Chtimes(name, info.ModTime(), info.ModTime())); err != nil {
			t.Fatal(err)
		}
	}
	rotten := bytes.Clone(good)
	rotten[len(rotten)/2] ^= 0x20
	write(rotten)
	h.forget(true, false)
	var gone []string
	for _, key := range h.keys("audio/") {
		h.remove(key)
		gone = append(gone, key)
	}
	done := h.repair(RepairOptions{Read: true, From: []From{{Dir: h.elsewhere()}, {Dir: h.fed}}})
	if len(done.Lost) != 1 || done.Lost[0].Path != "Music/f2.wav" || done.Lost[0].Kinds[repo.Audio] == 0 || !slices.Contains(done.Lost[0].Whole, repo.Tags) {
		t.Fatalf("lost %+v of %d objects", done.Lost, len(gone))
	}
	h.believed()
	write(good)
	if done := h.repair(RepairOptions{Read: true}); len(done.Lost)+len(done.Left) > 0 {
		t.Fatalf("once it is mended: lost %+v, left %+v", done.Lost, done.Left)
	}
	h.clean()
}
