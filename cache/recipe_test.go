package cache

import (
	"bytes"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// The rows of recipes as they were before blobs had offsets, written by reflection.
type (
	oldBlob struct {
		_    struct{} `cbor:",toarray"`
		ID   [16]byte
		Size int64
	}
	oldPart struct {
		_     struct{} `cbor:",toarray"`
		Kind  string
		Size  int64
		Blobs []oldBlob
		Owed  bool
	}
	oldRun struct {
		_      struct{} `cbor:",toarray"`
		Part   int
		Length int64
	}
	oldRecipe struct {
		_     struct{} `cbor:",toarray"`
		Size  int64
		Parts []oldPart
		Runs  []oldRun
		More  *oldBlob
	}
)

func genRecipe(slices bool) *rapid.Generator[*Recipe] {
	size := rapid.OneOf(rapid.Int64Range(0, 30), rapid.Int64Range(0, 1<<17), rapid.Int64Min(0), rapid.Int64())
	blob := rapid.Custom(func(t *rapid.T) Blob {
		b := Blob{Size: size.Draw(t, "size")}
		copy(b.ID[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		if slices && rapid.Bool().Draw(t, "slice") {
			b.Off = rapid.Int64Range(0, 1<<40).Draw(t, "off")
		}
		return b
	})
	return rapid.Custom(func(t *rapid.T) *Recipe {
		r := &Recipe{Size: size.Draw(t, "size")}
		for range rapid.IntRange(0, 4).Draw(t, "parts") {
			p := Part{Kind: rapid.SampledFrom([]string{"", "tags", "art", "index", "seals", "probe", "audio", "data", "later"}).Draw(t, "kind"),
				Size: size.Draw(t, "part"), Owed: rapid.Bool().Draw(t, "owed")}
			if rapid.Bool().Draw(t, "has") {
				p.Blobs = rapid.SliceOfN(blob, 0, 30).Draw(t, "blobs")
			}
			r.Parts = append(r.Parts, p)
		}
		for range rapid.IntRange(0, 300).Draw(t, "runs") {
			r.Runs = append(r.Runs, Run{Part: rapid.IntRange(0, 300).Draw(t, "of"), Length: size.Draw(t, "length")})
		}
		if rapid.Bool().Draw(t, "more") {
			more := blob.Draw(t, "blob")
			r.More = &more
		}
		return r
	})
}

// TestRecipeRows: a recipe comes back from its row, and no damage of one is believed.
func TestRecipeRows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := genRecipe(true).Draw(t, "recipe")
		row := encode(r)
		var back Recipe
		if err := decMode.Unmarshal(row, &back); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(r, &back); d != "" {
			t.Fatal(d)
		}
		cut := row[:rapid.IntRange(0, len(row)-1).Draw(t, "cut")]
		if err := back.UnmarshalCBOR(cut); err == nil {
			t.Fatalf("%x, cut short, is read", cut)
		}
		at := rapid.IntRange(0, len(row)-1).Draw(t, "at")
		row[at] ^= rapid.Byte().Draw(t, "flip")
		if err := back.UnmarshalCBOR(row); err == nil {
			if again := encode(&back); len(again) > len(row) {
				t.Fatalf("%x was read as %+v, which is longer", row, back)
			}
		}
	})
}

// TestRecipeRowsOfOldHomes: a recipe without slices has the same row as ever, as
// rows are compared, and an old one is read.
func TestRecipeRowsOfOldHomes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := genRecipe(false).Draw(t, "recipe")
		old := oldOf(r)
		row, err := cbor.Marshal(old)
		if err != nil {
			t.Fatal(err)
		}
		if now := encode(r); !bytes.Equal(row, now) {
			t.Fatalf("row is %x, was %x", now, row)
		}
	})
}

func oldOf(r *Recipe) *oldRecipe {
	old := &oldRecipe{Size: r.Size}
	blob := func(b Blob) oldBlob { return oldBlob{ID: b.ID, Size: b.Size} }
	for _, p := range r.Parts {
		q := oldPart{Kind: p.Kind, Size: p.Size, Owed: p.Owed}
		if p.Blobs != nil {
			q.Blobs = []oldBlob{}
		}
		for _, b := range p.Blobs {
			q.Blobs = append(q.Blobs, blob(b))
		}
		old.Parts = append(old.Parts, q)
	}
	for _, run := range r.Runs {
		old.Runs = append(old.Runs, oldRun{Part: run.Part, Length: run.Length})
	}
	if r.More != nil {
		more := blob(*r.More)
		old.More = &more
	}
	return old
}

// BenchmarkDecodeRecipe reads the row of a track, and of a large file that changed
// in many places, beside what reflection took.
func BenchmarkDecodeRecipe(b *testing.B) {
	track, image := &Recipe{Size: 5 << 20}, &Recipe{Size: 4 << 30, Parts: []Part{{Kind: "data", Size: 4 << 30}}}
	for _, kind := range []string{"tags", "art", "probe", "audio"} {
		track.Parts = append(track.Parts, Part{Kind: kind, Size: 70000, Blobs: []Blob{{ID: [16]byte{1}, Size: 70000}}})
		track.Runs = append(track.Runs, Run{Part: len(track.Runs), Length: 70000})
	}
	for i := range 20000 {
		image.Parts[0].Blobs = append(image.Parts[0].Blobs, Blob{ID: [16]byte{byte(i), 1}, Size: 4096, Off: int64(i) << 12})
	}
	for name, r := range map[string]*Recipe{"track": track, "image": image} {
		b.Run(name, func(b *testing.B) {
			row := encode(r)
			b.ReportAllocs()
			for b.Loop() {
				if err := decMode.Unmarshal(row, new(Recipe)); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/reflected", func(b *testing.B) {
			row := encode(oldOf(r))
			b.ReportAllocs()
			for b.Loop() {
				if err := decMode.Unmarshal(row, new(oldRecipe)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
