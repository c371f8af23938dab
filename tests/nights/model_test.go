package nights

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/crypto/blake2b"
)

// model is the repository as FORMAT.md reads it: it has no code in common with the
// program, and no index, so what it finds needed is what the rows of the log say. It
// knows one device.
type model struct {
	t       testing.TB
	bucket  string
	ids     []age.Identity
	hashKey []byte

	commits []commit // by number
	puts    map[string]row
	gone    map[string]string // object -> how far its end is: "condemned", "deleted"
	blobs   map[string][]byte // of all objects that are there, once read
}

type commit struct {
	seq  int
	time time.Time
	kind string
	rows []row    // of inodes and names, and what is forgotten
	puts []string // objects
}

// row is any line of a commit: the fields of FORMAT.md §5 that are needed here.
type row struct {
	Commit    int
	Kind      string
	Seq       int
	Time      time.Time
	Put       string
	Frames    [][]any
	Raw       []any
	Condemn   string
	Deleted   string
	Inode     string
	Type      string
	In        string
	Name      *string
	Name64    []byte
	Size      int64
	Parts     [][]json.RawMessage
	Runs      []int64
	More      []any
	Gone      bool
	Forgotten map[string][]int `json:"forget"`

	from int // the commit it is of
}

const root = "0000000000000001"

// readModel opens a bucket with its recovery key and reads the whole log.
func readModel(t testing.TB, bucket, recoveryKey string) *model {
	t.Helper()
	m := &model{t: t, bucket: bucket, puts: map[string]row{}, gone: map[string]string{}}
	key, err := os.ReadFile(recoveryKey)
	m.must(err)
	m.ids, err = age.ParseIdentities(bytes.NewReader(key))
	m.must(err)
	keys := m.open("keys/recovery.age")
	m.ids, err = age.ParseIdentities(bytes.NewReader(keys))
	m.must(err)
	said := regexp.MustCompile(`(?m)^# hash-key: (\S+)$`).FindSubmatch(keys)
	m.hashKey, err = base64.RawURLEncoding.DecodeString(string(said[1]))
	m.must(err)
	names, err := filepath.Glob(filepath.Join(bucket, "log/*/*-*.age"))
	m.must(err)
	slices.Sort(names)
	for i, name := range names {
		key, _ := filepath.Rel(bucket, name)
		if m.commit(key); m.commits[i].seq != i+1 {
			t.Fatalf("commit %d of %s is %d: the model knows one device", i+1, key, m.commits[i].seq)
		}
	}
	return m
}

func (m *model) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// open gives the plaintext of an object, which has the hash that is its name.
func (m *model) open(key string) []byte {
	m.t.Helper()
	sealed, err := os.ReadFile(filepath.Join(m.bucket, key))
	m.must(err)
	if name := regexp.MustCompile(`([0-9a-f]{64})\.age$`).FindStringSubmatch(key); name != nil {
		if sum := sha256.Sum256(sealed); hex.EncodeToString(sum[:]) != name[1] {
			m.t.Fatalf("%s has other bytes", key)
		}
	}
	r, err := age.Decrypt(bytes.NewReader(sealed), m.ids...)
	m.must(err)
	plain, err := io.ReadAll(r)
	m.must(err)
	return plain
}

func (m *model) unpack(p []byte) []byte {
	m.t.Helper()
	d, err := zstd.NewReader(bytes.NewReader(p), zstd.WithDecoderConcurrency(1))
	m.must(err)
	defer d.Close()
	out, err := io.ReadAll(d)
	m.must(err)
	return out
}

// commit takes one in.
func (m *model) commit(key string) {
	m.t.Helper()
	var c commit
	for line := range bytes.Lines(m.unpack(m.open(key))) {
		var r row
		if err := json.Unmarshal(line, &r); err != nil {
			m.t.Fatalf("%s: %v: %s", key, err, line)
		}
		switch {
		case r.Commit > 0:
			c.seq, c.kind, c.time = r.Seq, r.Kind, r.Time
		case r.Put != "":
			m.puts[r.Put] = r
			c.puts = append(c.puts, r.Put)
			delete(m.gone, r.Put)
		case r.Condemn != "":
			m.gone[r.Condemn] = "condemned"
		case r.Deleted != "":
			m.gone[r.Deleted] = "deleted"
		case r.Inode != "" || r.In != "" || len(r.Forgotten) > 0:
			r.from = c.seq
			c.rows = append(c.rows, r)
		}
	}
	m.commits = append(m.commits, c)
}

// moment tells whether a commit changed the drive.
func (c *commit) moment() bool {
	return slices.ContainsFunc(c.rows, func(r row) bool { return len(r.Forgotten) == 0 })
}

// tree is the drive as of a commit.
type tree struct {
	inodes map[string]row
	names  map[string]map[string]string // folder -> name -> inode
}

// each calls fn with the drive as of each commit.
func (m *model) each(fn func(c *commit, t *tree)) {
	t := &tree{inodes: map[string]row{}, names: map[string]map[string]string{}}
	for i := range m.commits {
		for _, r := range m.commits[i].rows {
			t.apply(r)
		}
		fn(&m.commits[i], t)
	}
}

func (t *tree) apply(r row) {
	name := string(r.Name64)
	if r.Name != nil {
		name = *r.Name
	}
	place := func(ino string) {
		if t.names[r.In] == nil {
			t.names[r.In] = map[string]string{}
		}
		t.names[r.In][name] = ino
	}
	isName := r.In != "" && r.Type == ""
	switch {
	case r.Inode != "" && isName:
		place(r.Inode)
	case isName:
		if t.inodes[t.names[r.In][name]].Type != "dir" {
			delete(t.names[r.In], name)
		}
	case r.Inode != "":
		if old, ok := t.inodes[r.Inode]; ok && old.Type == "dir" && old.Name != nil && t.names[old.In][*old.Name] == r.Inode {
			delete(t.names[old.In], *old.Name)
		}
		delete(t.inodes, r.Inode)
		if r.Gone {
			return
		}
		if t.inodes[r.Inode] = r; r.In != "" {
			place(r.Inode)
		}
	}
}

// files calls fn with each file below a folder, by its path in it.
func (t *tree) files(folder, path string, fn func(path string, r row)) {
	for name, ino := range t.names[folder] {
		switch r, ok := t.inodes[ino]; {
		case !ok:
		case r.Type == "dir":
			t.files(ino, path+name+"/", fn)
		case r.Type == "file":
			fn(path+name, r)
		}
	}
}

// blob is a blob of an object, as its row lists it.
type blob struct {
	id   string
	size int64
}

// listed gives the blobs of an object, which lie back to back.
func listed(put row) (all []blob) {
	flat := [][]any{put.Raw}
	if put.Frames != nil {
		flat = nil
		for _, f := range put.Frames {
			flat = append(flat, f[1:])
		}
	}
	for _, f := range flat {
		for i := 0; i+1 < len(f); i += 2 {
			all = append(all, blob{f[i].(string), int64(f[i+1].(float64))})
		}
	}
	return all
}

// slice is n bytes of a blob from an offset; of zeros if it has no id.
type slice struct {
	id     string
	n, off int64
}

// partsOf gives the parts of a file; whole tells that none is owed.
func (m *model) partsOf(r *row) (parts [][]slice, whole bool) {
	m.t.Helper()
	for _, p := range r.Parts {
		var length int64
		m.must(json.Unmarshal(p[1], &length))
		if len(p) == 2 {
			return nil, false
		}
		var id string
		if json.Unmarshal(p[2], &id) == nil {
			parts = append(parts, []slice{{id, length, 0}})
			continue
		}
		var slices [][]any
		m.must(json.Unmarshal(p[2], &slices))
		var part []slice
		for _, s := range slices {
			id, _ := s[0].(string)
			one := slice{id: id, n: int64(s[1].(float64))}
			if len(s) > 2 {
				one.off = int64(s[2].(float64))
			}
			part = append(part, one)
		}
		parts = append(parts, part)
	}
	return parts, true
}

// needs calls fn with each blob that a row needs, owed or not.
func (m *model) needs(r *row, fn func(id string)) {
	for _, p := range r.Parts {
		one := row{Parts: [][]json.RawMessage{p}}
		parts, whole := m.partsOf(&one)
		if !whole {
			continue
		}
		for _, s := range parts[0] {
			if s.id != "" {
				fn(s.id)
			}
		}
	}
	if len(r.More) > 0 {
		fn(r.More[0].(string))
	}
}

// objects lists what lies in the bucket.
func (m *model) objects() (names []string) {
	m.t.Helper()
	for _, pattern := range []string{"audio/*/*.age", "meta/*/*.age"} {
		list, err := filepath.Glob(filepath.Join(m.bucket, pattern))
		m.must(err)
		for _, name := range list {
			key, _ := filepath.Rel(m.bucket, name)
			names = append(names, key)
		}
	}
	return names
}

// read reads every object that is there, and each of its blobs by its id.
func (m *model) read() {
	m.t.Helper()
	m.blobs = map[string][]byte{}
	for _, name := range m.objects() {
		put, ok := m.puts[name]
		if !ok {
			continue
		}
		plain := m.open(name)
		if put.Frames != nil {
			plain = m.unpack(plain)
		}
		for _, b := range listed(put) {
			h, err := blake2b.New(16, m.hashKey)
			m.must(err)
			h.Write(plain[:b.size])
			if base64.RawURLEncoding.EncodeToString(h.Sum(nil)) != b.id {
				m.t.Fatalf("%s does not hold %s", name, b.id)
			}
			m.blobs[b.id], plain = plain[:b.size], plain[b.size:]
		}
	}
}

// sum joins a file from its blobs and gives its SHA-256; what is wrong with it in place
// of that.
func (m *model) sum(r row) string {
	parts, whole := m.partsOf(&r)
	if !whole {
		return "owed"
	}
	flat := make([][]byte, len(parts))
	for i, p := range parts {
		for _, s := range p {
			b, ok := m.blobs[s.id]
			switch {
			case s.id == "":
				b = make([]byte, s.n)
			case !ok:
				return "lacks " + s.id
			default:
				b = b[s.off : s.off+s.n]
			}
			flat[i] = append(flat[i], b...)
		}
	}
	runs := r.Runs
	if len(runs) == 0 && len(parts) > 0 {
		runs = []int64{0, r.Size}
	}
	if len(r.More) > 0 {
		var more []int64
		if err := json.Unmarshal(m.blobs[r.More[0].(string)], &more); err != nil {
			return fmt.Sprint("its runs: ", err)
		}
		runs = append(slices.Clone(runs), more...)
	}
	h, n := sha256.New(), int64(0)
	for i := 0; i+1 < len(runs); i += 2 {
		p := runs[i]
		h.Write(flat[p][:runs[i+1]])
		flat[p] = flat[p][runs[i+1]:]
		n += runs[i+1]
	}
	if n != r.Size {
		return fmt.Sprintf("%d bytes of %d", n, r.Size)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// lastOf gives the number of the last commit of each night.
func (m *model) lastOf(ledger []night) (seqs []int) {
	at := 0
	for _, n := range ledger {
		for at < len(m.commits) && !m.commits[at].time.After(n.Ended) {
			at++
		}
		seqs = append(seqs, at)
	}
	return seqs
}

// nightsAreWhole joins every file of some nights from the bucket and compares it with what
// the folder had then.
func (m *model) nightsAreWhole(ledger []night, from int) (files, versions int) {
	m.t.Helper()
	m.read()
	want := map[int]map[string]string{}
	last := m.lastOf(ledger)
	states(ledger, func(n int, is map[string]string) {
		if n >= from {
			want[last[n]] = maps.Clone(is)
		}
	})
	sums := map[string]string{} // of a version
	m.each(func(c *commit, t *tree) {
		is := want[c.seq]
		if is == nil {
			return
		}
		there := 0
		t.files(root, "", func(path string, r row) {
			_, path, _ = strings.Cut(path, "/") // below the place
			there++
			key := fmt.Sprint(r.Inode, " ", r.from)
			if sums[key] == "" {
				sums[key] = m.sum(r)
			}
			if is[path] != sums[key] {
				m.t.Errorf("after commit %d %q is %s, and was %s", c.seq, path, sums[key], is[path])
			}
		})
		if files += there; there != len(is) {
			m.t.Errorf("after commit %d there are %d files, and were %d", c.seq, there, len(is))
		}
		if m.t.Failed() {
			m.t.FailNow()
		}
	})
	return files, len(sums)
}
