package repo

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"
)

func TestPackRoundTrip(t *testing.T) {
	e := newEnv(t)
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]string{Tags, Art, IndexPart, Seals, Probe, Data, Checkpoint}).Draw(t, "kind")
		lengths := rapid.SliceOfN(rapid.SampledFrom([]int{0, 1, 100, 5000, 90 << 10, 300 << 10}), 1, 8).Draw(t, "lengths")
		b := NewPack(e.k, kind)
		want := map[ID][]byte{}
		for i, n := range lengths {
			p := noise(uint64(i%3), n)
			id := e.k.BlobID(p)
			b.Add(id, p)
			want[id] = p
			if !b.Has(id) {
				t.Fatal("Has denies a blob")
			}
		}
		s, row, err := b.Finish()
		if err != nil {
			t.Fatal(err)
		}
		if len(row.Blobs()) != len(want) {
			t.Fatalf("%d blobs, want %d", len(row.Blobs()), len(want))
		}
		if err := row.validate(); err != nil {
			t.Fatal(err)
		}
		if err := e.k.verifyObject(&row, s.Body); err != nil {
			t.Fatal(err)
		}
		for _, f := range row.Frames {
			if f.Size() > frameLimit && len(f.Blobs) > 1 || kind == Art && len(f.Blobs) > 1 {
				t.Fatalf("frame of %d blobs, %d bytes", len(f.Blobs), f.Size())
			}
		}
	})
}

// TestPackIndex reads a pack's last frame as one who has lost the log would.
func TestPackIndex(t *testing.T) {
	e := newEnv(t)
	b := NewPack(e.k, Tags)
	b.Add(e.k.BlobID([]byte("one")), []byte("one"))
	b.Add(e.k.BlobID([]byte("two")), []byte("two"))
	s, row, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	plain := must(e.k.OpenObject(s.Name, s.Body))(t)
	d := must(zstd.NewReader(nil))(t)
	text := must(d.DecodeAll(plain[row.Frames[0].Packed:], nil))(t)
	var index struct {
		Kind   string
		Frames [][]any
	}
	if err := json.Unmarshal(text, &index); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprint([][]any{{row.Frames[0].Packed, e.k.BlobID([]byte("one")), 3, e.k.BlobID([]byte("two")), 3}})
	if got := fmt.Sprint(index.Frames); got != want || index.Kind != Tags {
		t.Errorf("index %s of %s, want %s", got, index.Kind, want)
	}
}

func TestEmptyFrameIsZstd(t *testing.T) {
	if got, err := unpackFrame(emptyFrame, 0); err != nil || len(got) != 0 {
		t.Fatal(got, err)
	}
}

func TestPackFits(t *testing.T) {
	e := newEnv(t)
	b := NewPack(e.k, Data)
	n := 0
	for ; b.Fits(4 << 20); n++ {
		p := noise(uint64(n), 4<<20)
		b.Add(e.k.BlobID(p), p)
	}
	s, _, err := b.Finish()
	if err != nil || n != 3 || len(s.Body) > MaxBlob {
		t.Fatalf("%d blobs, %v", n, err)
	}
	if _, _, err := NewPack(e.k, Data).Finish(); err == nil {
		t.Error("a pack of nothing")
	}
}

func TestAudioIsPadded(t *testing.T) {
	e := newEnv(t)
	for _, n := range []int{1, padTo - 1, padTo, padTo + 1, 300000} {
		p := noise(9, n)
		s, row, err := SealAudio(e.k, Blob{e.k.BlobID(p), p})
		if err != nil {
			t.Fatal(err)
		}
		plain := must(e.k.OpenObject(s.Name, s.Body))(t)
		if len(plain)%padTo != 0 || len(plain)-n >= padTo || !bytes.Equal(plain[:n], p) || !strings.HasPrefix(row.Name, "audio/") {
			t.Errorf("%d bytes padded to %d", n, len(plain))
		}
	}
}

// TestLoadedAudio: sound that is sealed where it was read is the object that
// SealAudio makes of it, whatever lay in that memory before.
func TestLoadedAudio(t *testing.T) {
	e := newEnv(t)
	for i, n := range []int{5 << 20, 1, padTo - 1, padTo, chunkSize, chunkSize + 1, 300000, 4_200_000, 3*chunkSize - padTo} {
		p := noise(uint64(i), n)
		a := must(e.k.LoadAudio(iotest.HalfReader(bytes.NewReader(p)), int64(n)))(t)
		if a.ID() != e.k.BlobID(p) {
			t.Errorf("%d bytes have another id", n)
		}
		s, row, err := a.Seal()
		if err != nil {
			t.Fatal(err)
		}
		want, wantRow, err := SealAudio(e.k, Blob{e.k.BlobID(p), p})
		if err != nil {
			t.Fatal(err)
		}
		plain := must(e.k.OpenObject(s.Name, s.Body))(t)
		if !bytes.Equal(plain, must(e.k.OpenObject(want.Name, want.Body))(t)) || row.Size != wantRow.Size || !slices.Equal(row.Raw, wantRow.Raw) || row.Head != sha256.Sum256(s.Header) {
			t.Errorf("%d bytes are another object: %+v", n, row)
		}
		a.Release() // of no effect
		s.Release()
	}
	if _, err := e.k.LoadAudio(bytes.NewReader(noise(1, 99)), 100); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("of a file that is too short: %v", err)
	}
	if _, err := e.k.LoadAudio(zeros{}, MaxBlob+1); err == nil {
		t.Error("more than a blob was read")
	}
}

// TestFrameBombs: what says that it unpacks to more than its blobs, or does so
// without saying, is refused within bounded memory.
func TestFrameBombs(t *testing.T) {
	zeros := make([]byte, 64<<20)
	w := must(zstd.NewWriter(nil))(t)
	honest := w.EncodeAll(zeros, nil)
	var stream bytes.Buffer
	sw := must(zstd.NewWriter(&stream))(t)
	sw.Write(zeros)
	sw.Flush()
	sw.Write(zeros)
	sw.Close()
	for name, bomb := range map[string][]byte{"sized": honest, "unsized": stream.Bytes(), "twice": append(bytes.Clone(honest), honest...)} {
		for _, size := range []int64{0, 1, 1 << 20, MaxFrame, MaxFrame + 1} {
			if _, err := unpackFrame(bomb, size); err == nil {
				t.Errorf("%s bomb unpacked to %d bytes", name, size)
			}
		}
	}
	for _, junk := range [][]byte{nil, {0}, []byte("(\xb5/\xfd"), honest[:10]} {
		if _, err := unpackFrame(junk, 100); err == nil {
			t.Errorf("unpacked %q", junk)
		}
	}
}

// retag makes the tags of a track as a tagger writes them: ID3v2.4 with text
// frames and padding.
func retag(i int, r *rand.Rand) []byte {
	artists := []string{"Ella Fitzgerald", "Miles Davis", "Björk", "Can", "Fela Kuti", "Nina Simone", "Steve Reich"}
	words := strings.Fields("blue night summer river of the moon dance song for my love train home again light in shadow rain street garden")
	var title []string
	for range 2 + r.IntN(4) {
		title = append(title, words[r.IntN(len(words))])
	}
	var b bytes.Buffer
	b.WriteString("ID3\x04\x00\x00\x00\x00\x10\x00")
	for _, f := range [][2]string{
		{"TIT2", strings.Join(title, " ")}, {"TPE1", artists[i/12%7]}, {"TALB", fmt.Sprintf("Album %d", i/12)},
		{"TRCK", fmt.Sprintf("%d/12", i%12+1)}, {"TDRC", fmt.Sprint(1960 + i/12%50)}, {"TCON", "Jazz"},
		{"TXXX", fmt.Sprintf("MusicBrainz Album Id\x00%016x%016x", uint64(i/12)*0x9e3779b97f4a7c15, uint64(i/12)*0xbf58476d1ce4e5b9)},
		{"UFID", fmt.Sprintf("http://musicbrainz.org\x00%08x-%04x", r.Uint32(), r.Uint32N(1<<16))},
	} {
		fmt.Fprintf(&b, "%s\x00\x00\x00%c\x00\x00\x03%s\x00", f[0], len(f[1])+2, f[1])
	}
	b.Write(make([]byte, 2048-b.Len()))
	return b.Bytes()
}

// TestRetagCost holds the price of a bulk retag: a pack of tags and a commit,
// for tracks of tags, art, probe and audio, everything counted.
func TestRetagCost(t *testing.T) {
	e := newEnv(t)
	e.commit(&Commit{})
	const n = 100
	r := rand.New(rand.NewPCG(1, 2))
	b := NewPack(e.k, Tags)
	c := e.next(&Commit{})
	for i := range n {
		p := retag(i, r)
		id := e.k.BlobID(p)
		b.Add(id, p)
		ref := func(kind string, size int64) Part {
			return one(kind, BlobRef{e.k.BlobID(fmt.Append(nil, kind, i)), size})
		}
		row := track(uint64(0x1000+i), one(Tags, BlobRef{id, int64(len(p))}), ref(Art, 50000+r.Int64N(1e5)), ref(Probe, 12288), ref(Audio, 5e6+r.Int64N(1e6)))
		row.Parts[1].Blobs[0].ID = e.k.BlobID(fmt.Append(nil, "cover", i/12))
		row.Mtime = time.Unix(1763757000+int64(i)/8, r.Int64N(1e9))
		row.Base = e.d.ID + ":1"
		audio := row.Parts[3].Size
		row.Runs = []Run{{0, int64(len(p)) - 128}, {1, row.Parts[1].Size}, {2, 8192}, {3, audio}, {2, 4096}, {0, 128}}
		c.Inodes = append(c.Inodes, row)
	}
	pack, row, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	c.Puts = []ObjectRow{row}
	commit := must(EncodeCommit(e.k, e.d, c))(t)
	tags, rows := len(pack.Body), len(commit.Body)
	t.Logf("%d tracks: tags pack %d bytes, %d a track; commit %d bytes, %d a track; %d together", n, tags, tags/n, rows, rows/n, (tags+rows)/n)
	if (tags+rows)/n > 300 {
		t.Errorf("%d bytes a track, want at most 300", (tags+rows)/n)
	}
}

// TestAudioBuilder: blobs that came one by one make the object that blobs given
// together do, with lengths around those of chunks and of the padding.
func TestAudioBuilder(t *testing.T) {
	e := newEnv(t)
	for _, lengths := range [][]int{{1}, {padTo}, {chunkSize}, {chunkSize, 1}, {chunkSize - 1, 2, 3 * chunkSize}, {90_000, 80_000, 250_000}} {
		a := NewAudio(e.k, 1) // less than comes
		var want []byte
		for i, n := range lengths {
			p := noise(uint64(i), n)
			want = append(want, p...)
			id := e.k.BlobID(p)
			if a.Has(id) {
				t.Fatal(lengths, "has what was not added")
			}
			if err := a.Add(id, p); err != nil || !a.Has(id) {
				t.Fatal(lengths, err)
			}
			clear(p) // it is not kept
		}
		s, row, err := a.Finish()
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, make([]byte, (padTo-len(want)%padTo)%padTo)...)
		got, err := e.k.OpenObject(row.Name, s.Body)
		if err != nil || !bytes.Equal(got, want) || len(row.Raw) != len(lengths) || row.Size != int64(len(s.Body)) {
			t.Error(lengths, "another object", err, row)
		}
	}
	a := NewAudio(e.k, MaxBlob)
	p := make([]byte, MaxBlob)
	if err := a.Add(ID{1}, p); err != nil {
		t.Fatal(err)
	}
	if err := a.Add(ID{2}, p[:1]); err == nil {
		t.Error("took more than an object holds")
	}
}

// TestNoiseIsPackedAsItIs: what does not shrink lies in its frame as it is, so that its
// beginning can be read before its end is here; what does shrink loses nothing by that.
func TestNoiseIsPackedAsItIs(t *testing.T) {
	for _, kind := range []string{Art, Probe, Data} {
		for _, n := range []int{1, 1000, 128 << 10, frameLimit, 700_001} {
			random := noise(7, n)
			got := packFrame(kind, random, []byte("before"))
			if len(got) > n+40 || !bytes.HasPrefix(got, []byte("before")) {
				t.Errorf("%s: noise of %d bytes packed to %d", kind, n, len(got))
			}
			if plain, err := unpackFrame(got[6:], int64(n)); err != nil || !bytes.Equal(plain, random) {
				t.Errorf("%s: noise of %d bytes is not unpacked: %v", kind, n, err)
			}
			var b rawBlocks
			var seen []byte
			for end := 0; end <= len(got)-6; end += 777 { // as it comes
				for p := b.next(got[6:][:end]); len(p) > 0; p = b.next(got[6:][:end]) {
					seen = append(seen, p...)
				}
				if len(seen) < end-40 {
					t.Fatalf("%s: of %d bytes that came %d are seen", kind, end, len(seen))
				}
			}
			if !bytes.HasPrefix(random, seen) {
				t.Errorf("%s: what is seen of %d bytes differs", kind, n)
			}
		}
	}
	text := bytes.Repeat(noise(8, 40_000), 6)
	if got, want := packFrame(Data, text, []byte("before")), better().EncodeAll(text, []byte("before")); !bytes.Equal(got, want) {
		t.Errorf("%d bytes, want %d", len(got), len(want))
	}
	var b rawBlocks
	if seen := b.next(better().EncodeAll(text, nil)); len(seen) > 0 {
		t.Errorf("%d bytes are seen of what is packed", len(seen))
	}
}
