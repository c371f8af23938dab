package repo

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"

	"github.com/tunesafe/tunesafe/tests/tools"
)

// Generators of rows as a writer makes them.
var (
	genID   = rapid.Custom(func(t *rapid.T) ID { return ID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id")) })
	genSHA  = rapid.Custom(func(t *rapid.T) [32]byte { return [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "sha")) })
	genName = rapid.Custom(func(t *rapid.T) string {
		name := rapid.OneOf(
			rapid.StringN(1, 60, MaxName),
			rapid.Map(rapid.SliceOfN(rapid.Byte(), 1, MaxName), func(b []byte) string { return string(b) }),
			rapid.SampledFrom([]string{"\"\\\n\x1f\x7f", "Björk", "Bjo\u0308rk", "\xff\xfe", "\ufffd", "a\u2028b", "...", " "}),
		).Draw(t, "name")
		name = strings.NewReplacer("/", "_", "\x00", "_").Replace(name)
		if validName(name) != nil {
			name = "x"
		}
		return name
	})
	genInode = rapid.Uint64Range(1, math.MaxUint64)
	genMtime = rapid.Custom(func(t *rapid.T) time.Time {
		return time.Unix(rapid.Int64Range(-1<<40, 1<<40).Draw(t, "s"), rapid.Int64Range(0, 999999999).Draw(t, "ns"))
	})
	genObject = rapid.Custom(func(t *rapid.T) ObjectRow {
		sum, head := genSHA.Draw(t, "sum"), genSHA.Draw(t, "head")
		refs := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) BlobRef {
			return BlobRef{genID.Draw(t, "id"), rapid.Int64Range(0, 1<<20).Draw(t, "n")}
		}), 1, 4).Draw(t, "refs")
		if rapid.Bool().Draw(t, "raw") {
			return ObjectRow{Name: objectName("audio", sum), Size: sealedSize(8 << 20), Head: head, Kind: Audio, Raw: refs}
		}
		row := ObjectRow{Name: objectName("meta", sum), Size: sealedSize(8 << 20), Head: head, Kind: Tags}
		for range rapid.IntRange(1, 3).Draw(t, "frames") {
			row.Frames = append(row.Frames, Frame{Packed: rapid.Int64Range(1, 1<<20).Draw(t, "z"), Blobs: refs})
		}
		if len(row.Frames) > 1 && rapid.Bool().Draw(t, "mixed") {
			row.Kind = Mixed
			for i := range row.Frames {
				row.Frames[i].Kind = rapid.SampledFrom([]string{Tags, Probe, Art}).Draw(t, "kind")
			}
		}
		return row
	})
	genFile = rapid.Custom(func(t *rapid.T) InodeRow {
		row := InodeRow{Type: "file", TakenOpen: rapid.Bool().Draw(t, "open")}
		for i := range rapid.IntRange(0, 4).Draw(t, "parts") {
			p := Part{Kind: rapid.SampledFrom([]string{Tags, Art, Audio, Data}).Draw(t, "kind")}
			for range rapid.IntRange(0, 3).Draw(t, "blobs") {
				ref := Slice{ID: genID.Draw(t, "id"), Size: rapid.Int64Range(1, MaxBlob).Draw(t, "n")}
				switch rapid.IntRange(0, 3).Draw(t, "slice") {
				case 0:
					ref.Off = rapid.Int64Range(0, MaxBlob-ref.Size).Draw(t, "off")
				case 1:
					ref = Slice{Size: rapid.Int64Range(1, 1<<50).Draw(t, "zeros")}
				}
				p.Blobs = append(p.Blobs, ref)
				p.Size += ref.Size
			}
			if len(p.Blobs) == 0 { // owed
				p.Size = rapid.Int64Range(1, 1<<50).Draw(t, "owed")
			}
			row.Parts = append(row.Parts, p)
			cut := rapid.Int64Range(1, p.Size).Draw(t, "cut")
			row.Runs = append(row.Runs, Run{i, cut})
			if cut < p.Size && i > 0 {
				row.Runs = append(row.Runs, Run{i - 1, 0}, Run{i, p.Size - cut})
			} else {
				row.Runs[len(row.Runs)-1].Length = p.Size
			}
			row.Size += p.Size
		}
		if len(row.Parts) == 0 && rapid.Bool().Draw(t, "more") {
			row.More, row.Size = &BlobRef{genID.Draw(t, "id"), 77}, 1000
		}
		return row
	})
	genInodeRow = rapid.Custom(func(t *rapid.T) InodeRow {
		inode := genInode.Draw(t, "inode")
		if rapid.Bool().Draw(t, "gone") {
			return InodeRow{Inode: inode, Gone: true}
		}
		row := InodeRow{Type: rapid.SampledFrom([]string{"file", "dir", "symlink", "fifo", "socket", "char", "block"}).Draw(t, "type")}
		switch row.Type {
		case "file":
			row = genFile.Draw(t, "file")
		case "dir":
			row.In, row.Name = genInode.Draw(t, "in"), genName.Draw(t, "name")
		case "symlink":
			row.Target = "../" + genName.Draw(t, "target")
		case "char", "block":
			row.Rdev = rapid.Uint32().Draw(t, "rdev")
		}
		row.Inode, row.Mtime = inode, genMtime.Draw(t, "mtime")
		row.Mode, row.UID, row.GID = rapid.Uint32Range(0, 0o7777).Draw(t, "mode"), rapid.Uint32().Draw(t, "uid"), rapid.Uint32().Draw(t, "gid")
		row.Xattrs = rapid.MapOfN(genName, rapid.SliceOfN(rapid.Byte(), 0, 20), 0, 3).Draw(t, "xattrs")
		row.Base = rapid.SampledFrom([]string{"", "0123456789abcdef:17"}).Draw(t, "base")
		row.Succeeds = rapid.SampledFrom([]uint64{0, 99}).Draw(t, "succeeds")
		row.Fed = rapid.SampledFrom([]string{"", "00aa11bb22cc33dd"}).Draw(t, "fed")
		return row
	})
	genNameRow = rapid.Custom(func(t *rapid.T) NameRow {
		return NameRow{genInode.Draw(t, "in"), genName.Draw(t, "name"), rapid.OneOf(rapid.Just(uint64(0)), genInode).Draw(t, "inode")}
	})
	genHeads = rapid.MapOfN(
		rapid.StringMatching(`[0-9a-f]{16}`),
		rapid.Custom(func(t *rapid.T) Head {
			sum := genSHA.Draw(t, "sha")
			return Head{rapid.Uint64Range(1, math.MaxInt64).Draw(t, "seq"), hex.EncodeToString(sum[:])}
		}), 1, 3)
)

func TestCommitRoundTrip(t *testing.T) {
	tools.StepByStep(t)
	e := newEnv(t)
	rapid.Check(t, func(t *rapid.T) {
		c := &Commit{Kind: Changes, Seq: rapid.Uint64Range(2, 1e15).Draw(t, "seq"), Prev: strings.Repeat("ab", 32), Time: e.clock}
		c.Puts = rapid.SliceOfN(genObject, 0, 3).Draw(t, "puts")
		c.Inodes = rapid.SliceOfN(genInodeRow, 0, 5).Draw(t, "inodes")
		c.Names = rapid.SliceOfN(genNameRow, 0, 5).Draw(t, "names")
		for _, row := range c.Puts {
			c.Condemned = append(c.Condemned, CondemnRow{Name: row.Name, Size: row.Size, Why: genName.Filter(validText).Draw(t, "why")})
		}
		if rapid.Bool().Draw(t, "checkpoint") {
			c.Kind, c.Heads, c.Rows = CheckpointCommit, genHeads.Draw(t, "heads"), []BlobRef{{genID.Draw(t, "id"), 5}}
			c.Seen = c.Heads
		}
		s, err := EncodeCommit(e.k, e.d, c)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeCommit(e.k, e.certs, s.Name, s.Body)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
		for line := range bytes.Lines(c.appendText(nil)) {
			if !json.Valid(line) {
				t.Fatalf("not JSON: %s", line)
			}
		}
	})
}

func validText(s string) bool { return strings.ToValidUTF8(s, "") == s }

// forge seals text as a commit of the device, as one who has all keys but the
// device's could.
func (e *env) forge(seq uint64, text string) *Sealed {
	e.t.Helper()
	s := must(e.k.seal(better().EncodeAll([]byte(text), nil)))(e.t)
	s.Name = commitName(e.d.ID, Head{seq, hex.EncodeToString(s.sum[:])})
	return s
}

// sign ends text with the signature of key.
func sign(key ed25519.PrivateKey, text string) string {
	sum := sha256.Sum256([]byte(text))
	return text + `{"sig":"` + b64.EncodeToString(ed25519.Sign(key, sum[:])) + "\"}\n"
}

func (e *env) headerLine(seq uint64) string {
	return fmt.Sprintf(`{"commit":1,"kind":"changes","device":"%s","seq":%d,"prev":"%s","time":"2026-11-21T20:00:00.000Z","epoch":1}`+"\n", e.d.ID, seq, strings.Repeat("00", 32))
}

func TestForgedCommits(t *testing.T) {
	e := newEnv(t)
	header, row := e.headerLine(2), `{"in":"0000000000000001","name":"x","gone":true}`+"\n"
	good := sign(e.d.Key, header+row)
	_, stranger, _ := ed25519.GenerateKey(nil)
	for name, c := range map[string]struct {
		seq  uint64
		text string
		want error
	}{
		"good":              {2, good, nil},
		"no signature":      {2, header + row, ErrSignature},
		"no lines":          {2, "", ErrSignature},
		"stranger's":        {2, sign(stranger, header+row), ErrSignature},
		"row changed":       {2, strings.Replace(good, `"x"`, `"y"`, 1), ErrSignature},
		"row added":         {2, row + good, ErrSignature},
		"row behind":        {2, good + row, ErrSignature},
		"cut":               {2, good[:len(good)-1], ErrSignature},
		"other number":      {3, good, ErrCorrupt},
		"other device":      {2, sign(e.d.Key, strings.Replace(header, e.d.ID, "0123456789abcdef", 1)+row), ErrCorrupt},
		"newer":             {2, sign(e.d.Key, strings.Replace(header, `"commit":1`, `"commit":2`, 1)), ErrNewerFormat},
		"no header":         {2, sign(e.d.Key, row), ErrCorrupt},
		"name with slash":   {2, sign(e.d.Key, header+`{"in":"0000000000000001","name":"a/b","inode":"0000000000000002"}`+"\n"), ErrCorrupt},
		"name ..":           {2, sign(e.d.Key, header+`{"in":"0000000000000001","name":"..","inode":"0000000000000002"}`+"\n"), ErrCorrupt},
		"field twice":       {2, sign(e.d.Key, header+`{"in":"0000000000000001","in":"0000000000000002","name":"x","gone":true}`+"\n"), ErrCorrupt},
		"object elsewhere":  {2, sign(e.d.Key, header+`{"condemn":"keys/recovery.age","size":1,"why":""}`+"\n"), ErrCorrupt},
		"no row":            {2, sign(e.d.Key, header+"{}\n"), ErrCorrupt},
		"not JSON":          {2, sign(e.d.Key, header+"x\n"), ErrCorrupt},
		"runs beyond parts": {2, sign(e.d.Key, header+`{"inode":"0000000000000002","type":"file","mode":0,"uid":0,"gid":0,"mtime":[0,0],"size":5,"parts":[["tags",5],["art",1]],"runs":[2,5]}`+"\n"), ErrCorrupt},
	} {
		s := e.forge(c.seq, c.text)
		commit, err := DecodeCommit(e.k, e.certs, s.Name, s.Body)
		if c.want == nil && err != nil || c.want != nil && (!errors.Is(err, c.want) || commit != nil) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if err != nil && !strings.Contains(err.Error(), s.Name) {
			t.Errorf("%s: %v does not name the commit", name, err)
		}
	}
	s := e.forge(2, good)
	_, err := DecodeCommit(e.k, nil, s.Name, s.Body)
	wantErr(t, err, ErrSignature, s.Name)
	for region, at := range map[string]int{"header": 30, "nonce": 170, "body": pinnedSize + 5} {
		_, err := DecodeCommit(e.k, e.certs, s.Name, flip(s.Body, at))
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s flipped: %v", region, err)
		}
	}
}

func TestCommitBomb(t *testing.T) {
	tools.StepByStep(t)
	e := newEnv(t)
	var b bytes.Buffer
	w := must(zstd.NewWriter(&b))(t)
	zeros := make([]byte, 1<<20)
	for range 2 * MaxCommit >> 20 {
		w.Write(zeros)
	}
	w.Close()
	s := must(e.k.seal(b.Bytes()))(t)
	name := commitName(e.d.ID, Head{1, hex.EncodeToString(s.sum[:])})
	_, err := DecodeCommit(e.k, e.certs, name, s.Body)
	wantErr(t, err, ErrCorrupt, name)
}

func TestCommitNames(t *testing.T) {
	h := Head{12, strings.Repeat("0a", 32)}
	name := commitName("0123456789abcdef", h)
	if d, got, err := parseCommitName(name); err != nil || d != "0123456789abcdef" || got != h {
		t.Error(d, got, err)
	}
	for _, bad := range []string{"", "log", name[:len(name)-1], strings.ToUpper(name), "log/../" + name[21:], strings.Replace(name, "0012-", "12-", 1), strings.Replace(name, "0012-", "+012-", 1)} {
		if _, _, err := parseCommitName(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestJoinRuns(t *testing.T) {
	whole := track(2, one(Tags, BlobRef{ID{1}, 9}), one(Audio, BlobRef{ID{2}, 7}))
	row := whole
	row.Runs, row.More = whole.Runs[:1], &BlobRef{ID{3}, 5}
	if runs, err := row.JoinRuns(MarshalRuns(whole.Runs[1:])); err != nil || cmp.Diff(whole.Runs, runs) != "" {
		t.Errorf("%v %v, want %v", runs, err, whole.Runs)
	}
	for _, bad := range []string{"", "[]", "[1,8]", "[2,7]", "[1,7,0]", "[1,7]]", "[1,7,0,1]", "[-1,7]", "{}"} {
		if _, err := row.JoinRuns([]byte(bad)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// FuzzCommit feeds what comes after the verification: a signed text.
func FuzzCommit(f *testing.F) {
	c := &Commit{Kind: CheckpointCommit, Seq: 2, Prev: strings.Repeat("ab", 32), Device: "0123456789abcdef", Time: time.Unix(0, 0), Epoch: 1}
	c.Heads = map[string]Head{c.Device: {1, c.Prev}}
	c.Rows = []BlobRef{{ID{1}, 2}}
	c.Seen = c.Heads
	c.Puts = []ObjectRow{
		{Name: objectName("meta", [32]byte{1}), Size: 500, Kind: Tags, Frames: []Frame{{Packed: 9, Blobs: []BlobRef{{ID{3}, 7}}}}},
		{Name: objectName("audio", [32]byte{2}), Size: sealedSize(padTo), Kind: Audio, Raw: []BlobRef{{ID{3}, 7}}},
	}
	c.Condemned = []CondemnRow{{Name: c.Puts[0].Name, Size: 5, Why: "old"}}
	row := track(7, one(Tags, BlobRef{ID{4}, 9}), Part{Kind: Audio, Size: 5}, Part{Data, 15, []Slice{{ID{4}, 2, 0}, {ID{5}, 3, 70}, {ID{}, 10, 0}}})
	row.Xattrs = map[string][]byte{"user.x": {1}, "user.\xff": {2}}
	c.Inodes = []InodeRow{row, {Inode: 3, Gone: true}, {Inode: 4, Type: "symlink", Target: "\xff"}, {Inode: 5, Type: "dir", In: 1, Name: "d"}}
	c.Names = []NameRow{{1, "n", 7}, {1, "\xfe", 0}}
	f.Add(c.appendText(nil))
	for line := range bytes.Lines(c.appendText(nil)) {
		f.Add(line)
	}
	f.Add([]byte(`{"x":[[[[[[[]]]]]],"put":1e9}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := parseCommit(text)
		if err != nil {
			return
		}
		again, err := parseCommit(c.appendText(nil))
		if err != nil {
			t.Fatalf("does not read again: %v", err)
		}
		if diff := cmp.Diff(c, again, cmpopts.EquateEmpty()); diff != "" && c.Time.Equal(again.Time) {
			t.Fatal(diff)
		}
	})
}
