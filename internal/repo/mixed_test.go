package repo

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestJoinPacks: what is small leaves as one object, and every blob in a frame of its own
// kind, as it would without the others.
func TestJoinPacks(t *testing.T) {
	e := newEnv(t)
	rapid.Check(t, func(t *rapid.T) {
		const limit = 300 << 10
		packs, want, alone := map[string]*PackBuilder{}, map[ID]string{}, map[string][]Frame{}
		seed, sizes := uint64(0), []int64{}
		for _, kind := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{Tags, Art, IndexPart, Seals, Probe, Data, "tomorrow"}), 1, 6, rapid.ID).Draw(t, "kinds") {
			packs[kind] = NewPack(e.k, kind)
			single := NewPack(e.k, kind)
			for _, n := range rapid.SliceOfN(rapid.SampledFrom([]int{1, 100, 5000, 90 << 10, 290 << 10}), 1, 4).Draw(t, "lengths") {
				seed++
				p := noise(seed, n)
				id := e.k.BlobID(p)
				packs[kind].Add(id, p)
				single.Add(id, p)
				want[id] = kind
			}
			_, row, err := single.Finish()
			if err != nil {
				t.Fatal(err)
			}
			alone[kind] = row.Frames
			size := int64(0)
			for _, f := range row.Frames {
				size += f.Packed
			}
			sizes = append(sizes, size)
		}
		leave := JoinPacks(packs, limit)
		for _, b := range leave {
			s, row, err := b.Finish()
			if err != nil {
				t.Fatal(err)
			}
			frames := map[string][]Frame{}
			var packed int64
			for _, f := range row.Frames {
				kind := row.KindOf(f)
				frames[kind] = append(frames[kind], Frame{Packed: f.Packed, Blobs: f.Blobs})
				packed += f.Packed
			}
			for id, kind := range row.BlobKinds() {
				if want[id] != kind {
					t.Errorf("a blob of %s is in a frame of %s, or twice", want[id], kind)
				}
				delete(want, id)
			}
			for kind, is := range frames {
				if fmt.Sprint(is) != fmt.Sprint(alone[kind]) {
					t.Errorf("%s: frames %v, alone %v", kind, is, alone[kind])
				}
			}
			if (row.Kind == Mixed) != (len(frames) > 1) {
				t.Errorf("a pack of %d kinds says that it is of %s", len(frames), row.Kind)
			}
			if row.Kind == Mixed && packed > limit {
				t.Errorf("%d bytes leave together, want at most %d", packed, limit)
			}
			sameRow(t, e, s, &row)
		}
		if len(want) > 0 {
			t.Errorf("%d blobs are missing", len(want))
		}
		slices.Sort(sizes)
		together, sum := 0, int64(0)
		for ; together < len(sizes) && sum+sizes[together] <= limit; together++ {
			sum += sizes[together]
		}
		if n := len(sizes) - max(0, together-1); len(leave) != n {
			t.Errorf("%d objects of packs of %v, want %d", len(leave), sizes, n)
		}
	})
}

// sameRow fails unless a reader of the pack, of its row in a commit, and of the index learns the
// same of it.
func sameRow(t *rapid.T, e *env, s *Sealed, row *ObjectRow) {
	t.Helper()
	if err := e.k.verifyObject(row, s.Body); err != nil {
		t.Fatal(err)
	}
	plain, err := e.k.OpenObject(s.Name, s.Body)
	if err != nil {
		t.Fatal(err)
	}
	known := *row
	known.Frames = slices.Clone(row.Frames)
	for i, f := range known.Frames { // of kinds that are not known here nothing else is kept
		if f.Kind == "tomorrow" {
			known.Frames[i].Kind = unknownKind
		}
	}
	if known.Kind == "tomorrow" {
		known.Kind = unknownKind
	}
	own, err := packIndex(s.Name, s.Body, plain)
	if err != nil {
		t.Fatal(err)
	}
	if text := appendRow(nil, own); !bytes.Equal(text, appendRow(nil, *row)) {
		t.Errorf("its own index says %s", text)
	}
	kept, err := decodeObject(encodeObject(row))
	if err != nil || !bytes.Equal(appendRow(nil, kept), appendRow(nil, known)) {
		t.Errorf("the index keeps %s, %v", appendRow(nil, kept), err)
	}
}

// TestKindsAreNeededToReadNothing: whatever a pack says of its kinds, it is read, counted, and
// forgotten again.
func TestKindsAreNeededToReadNothing(t *testing.T) {
	for _, kind := range []string{"", "mixed", "tags art", "tags art probe art", "tomorrow", "tags  art", "audio"} {
		t.Run(kind, func(t *testing.T) {
			e := newEnv(t)
			blobs := [][]byte{noise(1, 5000), noise(2, 90<<10), noise(3, 100)}
			row := e.pack(Art, blobs...)
			text := bytes.Replace(bytes.TrimSpace(appendRow(nil, row)), []byte(`"kind":"art"`), fmt.Appendf(nil, `"kind":%q`, kind), 1)
			is, ok := must(parseRow(text))(t).(ObjectRow)
			if !ok {
				t.Fatal("no row")
			}
			e.fresh()
			e.commit(&Commit{Puts: []ObjectRow{is}})
			r := e.reader(t.TempDir())
			for _, p := range blobs {
				if got := must(r.Blob(t.Context(), e.k.BlobID(p)))(t); !bytes.Equal(got, p) {
					t.Error("another blob")
				}
			}
			if kinds := is.BlobKinds(); len(kinds) != len(blobs) {
				t.Errorf("kinds %v", kinds)
			}
			e.commit(&Commit{Condemned: []CondemnRow{{Name: row.Name, Size: row.Size}}})
			e.commit(&Commit{Deleted: []DeletedRow{{row.Name, row.Size}}})
			for kind, n := range must(e.x.Totals())(t) {
				if n.Objects != 0 {
					t.Errorf("%d objects of kind %s are left", n.Objects, kind)
				}
			}
		})
	}
}

// TestMixedFramesAlone: who plays asks a mixed pack for a frame of tags, probes and pictures, and
// does not get all of it for that; who scans gets it whole.
func TestMixedFramesAlone(t *testing.T) {
	e := newEnv(t)
	blobs := map[string][][]byte{Tags: {noise(1, 5000)}, Probe: {noise(2, 100<<10)}}
	for i := range uint64(9) {
		blobs[Art] = append(blobs[Art], noise(10+i, 60<<10))
	}
	packs := map[string]*PackBuilder{}
	for kind, list := range blobs {
		packs[kind] = NewPack(e.k, kind)
		for _, p := range list {
			packs[kind].Add(e.k.BlobID(p), p)
		}
	}
	s, row, err := JoinPacks(packs, 2<<20)[0].Finish()
	if err != nil || row.Kind != Mixed || row.Kinds() != "tags+probe+art" {
		t.Fatal(row.Kinds(), err)
	}
	e.acked(s, row)
	e.commit(&Commit{})
	r := e.reader(t.TempDir())
	read := func(p []byte) { must(r.Blob(t.Context(), e.k.BlobID(p)))(t) }
	before := e.counted.Counts().DownloadedBytes
	if n := e.gets(func() { read(blobs[Tags][0]); read(blobs[Probe][0]); read(blobs[Art][0]) }); n > 4 {
		t.Errorf("%d GETs for a frame of each kind", n)
	}
	if n := e.counted.Counts().DownloadedBytes - before; n > row.Size*2/3 {
		t.Errorf("%d bytes of a pack of %d", n, row.Size)
	}
	if n := e.gets(func() {
		for _, p := range blobs[Art] {
			read(p)
		}
	}); n > 4 {
		t.Errorf("%d GETs for all the rest", n)
	}
	r = e.reader(t.TempDir())
	if n := e.gets(func() {
		for _, list := range blobs {
			for _, p := range list {
				must(r.Blob(WholePacks(t.Context()), e.k.BlobID(p)))(t)
			}
		}
	}); n != 1 {
		t.Errorf("%d GETs by a scan, want 1", n)
	}
}
