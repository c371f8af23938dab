package zipstream

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/tunesafe/tunesafe/tests/tools"
)

// made is content that is made of its key as it is read.
type made struct {
	key    [16]byte
	size   int64
	opened *int
	broken int64 // fails from there on, if it is not 0
}

var errBroken = errors.New("broken")

func (m made) ReadAt(p []byte, off int64) (int, error) {
	seed := binary.LittleEndian.Uint64(m.key[:])
	for i := range p {
		at := off + int64(i)
		if m.broken > 0 && at >= m.broken {
			return i, errBroken
		}
		if at >= m.size {
			return i, io.EOF
		}
		p[i] = byte((seed + uint64(at)*0x9E3779B97F4A7C15) >> 56)
	}
	return len(p), nil
}

func (m made) Close() error { *m.opened--; return nil }

// zeros is content of which there is much.
type zeros struct{ size int64 }

func (z zeros) ReadAt(p []byte, off int64) (int, error) {
	n := int(max(0, min(int64(len(p)), z.size-off)))
	clear(p[:n])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (zeros) Close() error { return nil }

// world makes archives, and counts what is open.
type world struct {
	t      *testing.T
	opened int
	opens  int
	broken int64
	sums   *Sums
}

func (w *world) archive(entries []Entry) *Archive {
	w.t.Cleanup(func() {
		if w.opened != 0 {
			w.t.Errorf("%d contents stay open", w.opened)
		}
	})
	return New(entries, w.sums, func(_ context.Context, e *Entry) (Content, error) {
		w.opened++
		w.opens++
		return made{e.Key, e.Size, &w.opened, w.broken}, nil
	})
}

// library makes entries of random names, sizes and times.
func library(r *rand.Rand, n int) (entries []Entry) {
	var names Names
	dirs := []string{""}
	for i := range n {
		e := Entry{Time: time.Unix(r.Int64N(4e9), 0), Mode: 0o644}
		binary.LittleEndian.PutUint64(e.Key[:], r.Uint64())
		dir := dirs[r.IntN(len(dirs))]
		name := []string{"Finlandia", "Ænima", "finlandia", "日本", "a.mp3", "..", `\x`, "con.txt"}[r.IntN(8)]
		if r.IntN(5) == 0 && strings.Count(dir, "/") < 5 {
			e.Name = names.Below(dir, name, true)
			dirs = append(dirs, e.Name)
		} else {
			e.Name = names.Below(dir, name, false)
			e.Size = []int64{0, 1, 4096, r.Int64N(70000), r.Int64N(2000)}[r.IntN(5)]
		}
		e.ID = uint64(i)
		entries = append(entries, e)
	}
	return entries
}

func all(t *testing.T, a *Archive) []byte {
	t.Helper()
	r := a.Reader(t.Context())
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if int64(len(b)) != a.Size() {
		t.Fatalf("%d bytes of an archive of %d", len(b), a.Size())
	}
	return b
}

// TestReaders: other programs read what is made, from a file and as a stream.
func TestReaders(t *testing.T) {
	bin := tools.Need(t, "unzip", "bsdtar", "python3")
	rnd := rand.New(rand.NewPCG(uint64(tools.Seed(t)), 1))
	w := &world{t: t}
	entries := library(rnd, 200)
	b := all(t, w.archive(entries))
	file := filepath.Join(t.TempDir(), "a.zip")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][]string{
		{bin[0], "-tqq", file},
		{bin[1], "-tf", file},
		{bin[2], "-c", "import zipfile,sys; z=zipfile.ZipFile(sys.argv[1]); bad=z.testzip(); assert bad is None, bad", file},
		{"sh", "-c", `cat "$1" | "$0" -xf - -O >/dev/null`, bin[1], file}, // it goes by the headers alone
	} {
		if out, err := exec.Command(c[0], c[1:]...).CombinedOutput(); err != nil {
			t.Errorf("%v: %v: %s", c, err, out)
		}
	}
	compare(t, b, entries)
	dir := t.TempDir()
	if out, err := exec.Command(bin[0], "-qq", file, "-d", dir).CombinedOutput(); err != nil {
		t.Fatalf("unzip: %v: %s", err, out)
	}
	for _, e := range entries {
		info, err := os.Stat(filepath.Join(dir, e.Name))
		if err != nil || info.IsDir() != e.isDir() || !e.isDir() && info.Size() != e.Size {
			t.Errorf("%q was not unpacked: %v", e.Name, err)
		} else if in := e.Time.Unix(); !e.isDir() && in < 1<<31 && info.ModTime().Unix() != in {
			t.Errorf("%q is of %v, not %v", e.Name, info.ModTime(), e.Time)
		}
	}
}

// compare reads an archive with the standard library.
func compare(t *testing.T, b []byte, entries []Entry) {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	if len(z.File) != len(entries) {
		t.Fatalf("%d entries, not %d", len(z.File), len(entries))
	}
	for i, f := range z.File {
		e := entries[i]
		if f.Name != e.Name || f.NonUTF8 {
			t.Errorf("%q came as %q", e.Name, f.Name)
		}
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil {
			t.Errorf("%q: %v", e.Name, err)
		}
		want := make([]byte, e.Size)
		n := 1
		if _, err := (made{e.Key, e.Size, &n, 0}).ReadAt(want, 0); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%q has other bytes", e.Name)
		}
	}
}

// TestRanges: a range is the same bytes as in the whole, whether what was read is
// remembered or not.
func TestRanges(t *testing.T) {
	rnd := rand.New(rand.NewPCG(uint64(tools.Seed(t)), 2))
	for _, sums := range []*Sums{nil, {}} {
		w := &world{t: t, sums: sums}
		entries := library(rnd, 40)
		whole := all(t, w.archive(entries))
		for range 60 {
			a := w.archive(entries)
			from := rnd.Int64N(a.Size() + 1)
			length := rnd.Int64N(a.Size() - from + 1)
			r := a.Reader(t.Context())
			if _, err := r.Seek(from, io.SeekStart); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, length)
			if _, err := io.ReadFull(r, got); err != nil {
				t.Fatal(err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			if !bytes.Equal(got, whole[from:from+length]) {
				t.Fatalf("bytes %d to %d are others", from, from+length)
			}
		}
		a := w.archive(entries)
		r := a.Reader(t.Context())
		if err := iotest.TestReader(r, whole); err != nil {
			t.Error(err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestGoOn: who goes on behind what was sent does not have the rest read twice.
func TestGoOn(t *testing.T) {
	w := &world{t: t, sums: &Sums{}}
	entries := library(rand.New(rand.NewPCG(uint64(tools.Seed(t)), 3)), 60)
	whole := all(t, w.archive(entries))
	w.opens = 0
	r := w.archive(entries).Reader(t.Context())
	if _, err := r.Seek(-100, io.SeekEnd); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, whole[len(whole)-100:]) {
		t.Fatalf("the end is another: %v", err)
	}
	if w.opens != 0 {
		t.Errorf("%d contents were read for the directory", w.opens)
	}
}

// TestSumsOutlive: who goes on after a restart has nothing read twice, and what of the file
// of sums is damaged or torn counts as not known.
func TestSumsOutlive(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sums")
	kept := func() *Sums {
		s := &Sums{}
		if err := s.Keep(file); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	w := &world{t: t, sums: kept()}
	entries := library(rand.New(rand.NewPCG(uint64(tools.Seed(t)), 5)), 60)
	whole := all(t, w.archive(entries))
	if err := w.sums.Close(); err != nil {
		t.Fatal(err)
	}
	end := func() int {
		w.opens = 0
		r := w.archive(entries).Reader(t.Context())
		defer r.Close()
		if _, err := r.Seek(-int64(len(whole)/10), io.SeekEnd); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, whole[len(whole)-len(whole)/10:]) {
			t.Fatalf("the end is another: %v", err)
		}
		return w.opens
	}
	w.sums = kept()
	few := end()
	b, err := os.ReadFile(file)
	if err != nil || len(b) == 0 || len(b)%recordLen != 0 {
		t.Fatalf("%d bytes of sums, %v", len(b), err)
	}
	b[5] ^= 1
	if err := os.WriteFile(file, b[:len(b)-3], 0o600); err != nil {
		t.Fatal(err)
	}
	w.sums = kept()
	if n := end(); n > few+2 {
		t.Errorf("%d contents were read with two sums lost, and %d with none", n, few)
	}
	w.sums = nil
	if n := end(); n <= few+2 {
		t.Errorf("%d contents are read without the sums, and %d with them", n, few)
	}
}

// TestTag: it tells archives apart by all that their bytes depend on.
func TestTag(t *testing.T) {
	w := &world{t: t}
	base := Entry{Name: "a", Size: 3, Time: time.Unix(1e9, 0), Key: [16]byte{1}}
	tag := func(e ...Entry) string { return w.archive(e).Tag() }
	other := []Entry{base, base, base, base}
	other[0].Name, other[1].Size, other[2].Time, other[3].Key[3] = "b", 4, base.Time.Add(2*time.Second), 9
	for i, o := range other {
		if tag(base) == tag(o) {
			t.Errorf("%d: another archive has the same tag", i)
		}
	}
	if tag(base) != tag(base) || tag(base) == tag(base, base) {
		t.Error("the tag is not of the entries")
	}
}

// TestBroken: what cannot be read, or is not what it was, is an error, and nothing is
// made up.
func TestBroken(t *testing.T) {
	entries := []Entry{{Name: "a", Size: 100, Key: [16]byte{1}}, {Name: "b", Size: 5000, Key: [16]byte{2}}}
	w := &world{t: t, broken: 3000}
	a := w.archive(entries)
	r := a.Reader(t.Context())
	b, err := io.ReadAll(r)
	if !errors.Is(err, errBroken) || !errors.Is(r.Err(), errBroken) || int64(len(b)) > a.starts[1]+entries[1].headerLen()+3000 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if _, err := r.Read(make([]byte, 1)); err == nil {
		t.Error("it goes on behind an error")
	}

	short := New(entries[:1], nil, func(context.Context, *Entry) (Content, error) { return zeros{50}, nil })
	if _, err := io.ReadAll(short.Reader(t.Context())); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a content that is too short: %v", err)
	}

	w = &world{t: t, sums: &Sums{}}
	all(t, w.archive(entries))
	other := New(entries, w.sums, func(context.Context, *Entry) (Content, error) { return zeros{1 << 20}, nil })
	if _, err := io.ReadAll(other.Reader(t.Context())); !errors.Is(err, ErrChanged) {
		t.Errorf("other bytes under one key: %v", err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := io.ReadAll(w.archive(entries).Reader(ctx)); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody reads it any more: %v", err)
	}
}

// sparse keeps the bytes of an archive that are not content of zeros.
type sparse struct {
	a *Archive
}

func (s sparse) ReadAt(p []byte, off int64) (int, error) {
	r := s.a.Reader(context.Background())
	defer r.Close()
	if _, err := r.Seek(off, io.SeekStart); err != nil {
		return 0, err
	}
	return io.ReadFull(r, p)
}

// TestLarge: entries of more than 4 GiB, behind more than 4 GiB, and more than 65,535,
// without a disk. The sums are told to it, as reading so much takes its time.
func TestLarge(t *testing.T) {
	const huge = max32 + 1
	entries := []Entry{{Name: "before", Size: 3}, {Name: "huge.wav", Size: huge, Key: [16]byte{1}}, {Name: "edge.wav", Size: max32, Key: [16]byte{2}}, {Name: "below.wav", Size: max32 - 1, Key: [16]byte{3}}}
	var names Names
	for i := range 70_000 {
		e := Entry{Name: names.Below("", fmt.Sprintf("%d.mp3", i), false), Size: 4, Time: time.Unix(int64(1e9+i), 0)}
		binary.LittleEndian.PutUint64(e.Key[8:], uint64(i)+1)
		entries = append(entries, e)
	}
	sums := &Sums{}
	small := crc32.ChecksumIEEE(make([]byte, 4))
	for _, e := range entries[4:] {
		sums.put(e.Key, small)
	}
	sum := zeroSum(max32 - 1)
	for _, e := range []Entry{entries[3], entries[2], entries[1]} { // each is one byte longer
		sums.put(e.Key, sum)
		sum = crc32.Update(sum, crc32.IEEETable, []byte{0})
	}
	a := New(entries, sums, func(_ context.Context, e *Entry) (Content, error) { return zeros{e.Size}, nil })
	z, err := zip.NewReader(sparse{a}, a.Size())
	if err != nil {
		t.Fatal(err)
	}
	if len(z.File) != len(entries) {
		t.Fatalf("%d entries, not %d", len(z.File), len(entries))
	}
	for i, f := range z.File {
		if f.Name != entries[i].Name || int64(f.UncompressedSize64) != entries[i].Size {
			t.Fatalf("entry %d is %q of %d bytes", i, f.Name, f.UncompressedSize64)
		}
		at, err := f.DataOffset()
		if i%1000 == 0 && (err != nil || at != a.starts[i]+entries[i].headerLen()) {
			t.Fatalf("the content of %q is at %d: %v", f.Name, at, err)
		}
	}
	last := z.File[len(z.File)-1]
	r, err := last.Open()
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r); err != nil || len(b) != 4 {
		t.Errorf("the last: %d bytes, %v", len(b), err)
	}
	t.Run("python", func(t *testing.T) { python(t, a) })
}

// zeroSum is the CRC-32 of so many zeros.
func zeroSum(n int64) (sum uint32) {
	piece := make([]byte, 1<<20)
	for ; n > 0; n -= int64(len(piece)) {
		sum = crc32.Update(sum, crc32.IEEETable, piece[:min(n, int64(len(piece)))])
	}
	return sum
}

// python reads the large archive from a file with holes in the place of its content.
func python(t *testing.T, a *Archive) {
	bin := tools.Need(t, "python3")
	name := filepath.Join(t.TempDir(), "large.zip")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(a.Size()); err != nil {
		t.Skip("no files of that size here:", err)
	}
	r := a.Reader(t.Context())
	defer r.Close()
	for i := range 5 { // the headers and descriptors of the large ones
		for _, at := range [][2]int64{{a.starts[i], a.entries[i].headerLen()}, {max(a.starts[i]-24, 0), min(24, a.starts[i])}} {
			copyRange(t, f, r, at[0], at[1])
		}
	}
	copyRange(t, f, r, a.starts[4], a.Size()-a.starts[4])
	script := `import zipfile,sys
z=zipfile.ZipFile(sys.argv[1]); l=z.infolist()
assert len(l)==70004, len(l)
assert [i.file_size for i in l[:5]]==[3,1<<32,0xffffffff,0xfffffffe,4]
assert z.read(l[0])==bytes(3) and z.read(l[-1])==bytes(4)
with z.open(l[1]) as f: assert f.read(10)==bytes(10)
`
	if out, err := exec.Command(bin[0], "-c", script, name).CombinedOutput(); err != nil {
		t.Errorf("python: %v: %s", err, out)
	}
	for _, c := range [][]string{{"unzip", "-p", name, "69999.mp3"}, {"bsdtar", "-xOf", name, "69999.mp3"}} {
		// unzip takes a size of just 2^32-1 for a mark in the next entry, too, and warns by 1.
		cmd := exec.Command(tools.Need(t, c[0])[0], c[1:]...)
		if out, err := cmd.Output(); cmd.ProcessState.ExitCode() > 1 || string(out) != "\x00\x00\x00\x00" {
			t.Errorf("%s: %v: %.200q", c[0], err, out)
		}
	}
}

func copyRange(t *testing.T, f *os.File, r *Reader, off, n int64) {
	t.Helper()
	if _, err := r.Seek(off, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.NewOffsetWriter(f, off), r, n); err != nil {
		t.Fatal(err)
	}
}

// TestHostileNames: none leads elsewhere, and no two are one.
func TestHostileNames(t *testing.T) {
	for name, want := range map[string]string{
		"..": "_", ".": "_", "": "_", "...": "_", "../../etc/passwd": ".._.._etc_passwd", `..\..\x`: ".._.._x", "/abs": "_abs", "C:": "C_", `C:\x`: "C__x",
		"a\x00b": "a_b", "line\nfeed": "line_feed", "\x7f\u0085": "__", "a.": "a_", "a ": "a_", "con": "_con", "Nul.tar.gz": "_Nul.tar.gz", "COM1": "_COM1",
		"lpt³.x": "_lpt³.x", "COM10": "COM10", "CON .txt": "_CON .txt", "consul": "consul", "\xff\xfe": "__", "x\u202Egpj.exe": "x_gpj.exe",
		"日本語 & <b>.flac": "日本語 & _b_.flac", strings.Repeat("é", 200): strings.Repeat("é", 127),
	} {
		var n Names
		if got := n.Below("", name, false); got != want {
			t.Errorf("%q became %q, not %q", name, got, want)
		}
	}
	var n Names
	seen := map[string]bool{}
	rnd := rand.New(rand.NewPCG(uint64(tools.Seed(t)), 4))
	for range 2000 {
		dir := []string{"", "A/", "b/"}[rnd.IntN(3)]
		name := []string{"x.mp3", "X.MP3", "x (2).mp3", "é", "e\u0301", "É", strings.Repeat("l", 255) + ".mp3", "..", "CON"}[rnd.IntN(9)]
		got := n.Below(dir, name, rnd.IntN(2) == 0)
		if key := strings.ToLower(strings.TrimSuffix(got, "/")); seen[key] {
			t.Fatalf("%q twice", got)
		} else {
			seen[key] = true
		}
		base := strings.TrimSuffix(strings.TrimPrefix(got, dir), "/")
		if !strings.HasPrefix(got, dir) || strings.Contains(base, "/") || len(base) > 255 || !filepath.IsLocal(got) {
			t.Fatalf("%q in %q", got, dir)
		}
	}
	if deep := n.Below(strings.Repeat("d/", 30_000), "x", false); len(deep) > 1000 {
		t.Error("a path too long for the format")
	}
}

// TestSums: what is not asked for is forgotten, what is asked for stays.
func TestSums(t *testing.T) {
	s := &Sums{}
	key := func(i int) (k [16]byte) {
		h := sha256.Sum256([]byte{byte(i), byte(i >> 8), byte(i >> 16)})
		copy(k[:], h[:])
		return k
	}
	s.put(key(0), 7)
	for i := range 3 * sumsKept {
		s.put(key(i+1), uint32(i))
		if i%1000 == 0 {
			if got, ok := s.get(key(0)); !ok || got != 7 {
				t.Fatalf("forgotten after %d", i)
			}
		}
	}
	if len(s.young)+len(s.old) > 2*sumsKept {
		t.Errorf("%d are kept", len(s.young)+len(s.old))
	}
	if _, ok := s.get(key(1)); ok {
		t.Error("nothing is ever forgotten")
	}
}
