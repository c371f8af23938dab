package repo

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tunesafe/tunesafe/tests/tools"
)

const devA, devB = "aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb"

// TestCondemned: an object that is condemned is read from and used for nothing new;
// only who condemned it takes that back.
func TestCondemned(t *testing.T) {
	e := newEnv(t)
	blob := noise(1, 1000)
	pack := e.pack(Tags, blob)
	e.commit(&Commit{})
	e.commit(&Commit{Condemned: []CondemnRow{{Name: pack.Name, Size: pack.Size, Why: "unused"}}})
	if _, ok := e.placed(blob); ok {
		t.Error("a blob of a condemned object may be used again")
	}
	if got, err := e.reader(t.TempDir()).Blob(t.Context(), e.k.BlobID(blob)); err != nil || !bytes.Equal(got, blob) {
		t.Error("a blob of a condemned object is not read:", err)
	}
	want := []CondemnRow{{pack.Name, pack.Size, "unused", e.d.ID, 2}}
	if diff := cmp.Diff(want, must(e.x.Condemned())(t)); diff != "" {
		t.Error(diff)
	}
	if err := e.x.Apply(&Commit{Kind: Changes, Device: devB, Seq: 9, Puts: []ObjectRow{pack}}); err != nil {
		t.Fatal(err)
	}
	if _, ok := e.placed(blob); ok {
		t.Error("a put of another device took the condemnation back")
	}
	if n := must(e.x.Totals())(t)[Tags].Objects; n != 0 {
		t.Errorf("%d objects counted, one is condemned", n)
	}
	e.commit(&Commit{Puts: []ObjectRow{pack}})
	if _, ok := e.placed(blob); !ok || len(must(e.x.Condemned())(t)) > 0 {
		t.Error("its own put did not")
	}
	if n := must(e.x.Totals())(t)[Tags]; n != (Totals{1, pack.Size, 1, 1000}) {
		t.Errorf("%+v", n)
	}
	findings, _, err := Check(t.Context(), e.st, e.k, e.x, CheckOptions{Read: true})
	if err != nil || len(findings) > 0 {
		t.Errorf("%v %v", findings, err)
	}
}

// TestCondemnedInAnyOrder: chains of two devices that condemn, take back and put leave
// the same, whichever way they are interleaved, and when they are taken in again.
func TestCondemnedInAnyOrder(t *testing.T) {
	e := newEnv(t)
	a, b := e.pack(Tags, []byte("a")), e.audio([]byte("b"))
	condemn := func(o ObjectRow) []CondemnRow { return []CondemnRow{{Name: o.Name, Size: o.Size}} }
	chains := [2][]*Commit{{
		{Device: devA, Seq: 1, Puts: []ObjectRow{a}},
		{Device: devA, Seq: 2, Condemned: append(condemn(a), condemn(b)...)},
		{Device: devA, Seq: 3, Puts: []ObjectRow{a}},
	}, {
		{Device: devB, Seq: 1, Puts: []ObjectRow{b, a}},
		{Device: devB, Seq: 2, Puts: []ObjectRow{a, b}, Condemned: condemn(a)},
	}}
	for n := range 1 << 5 { // of whose chain the next is
		var order []*Commit
		at := [2]int{}
		for i := range 5 {
			which := n >> i & 1
			if at[which] == len(chains[which]) {
				which = 1 - which
			}
			order = append(order, chains[which][at[which]])
			at[which]++
		}
		x := must(OpenIndex(filepath.Join(t.TempDir(), "index")))(t)
		for range 2 {
			for _, c := range order {
				if err := x.Apply(c); err != nil {
					t.Fatal(err)
				}
			}
			rows := must(x.Condemned())(t)
			var got []string
			for _, r := range rows {
				got = append(got, fmt.Sprintf("%s by %s:%d", r.Name[:4], r.Device[:1], r.Seq))
			}
			if want := []string{"audi by a:2", "meta by b:2"}; !slices.Equal(got, want) {
				t.Fatalf("order %05b: %v, want %v", n, got, want)
			}
			if total := must(x.Totals())(t); total[Tags].Objects+total[Audio].Objects != 0 {
				t.Fatalf("order %05b: %v", n, total)
			}
		}
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCondemnRowsRoundTrip: what a prune says comes back as it was said, in commits and
// in checkpoints.
func TestCondemnRowsRoundTrip(t *testing.T) {
	e := newEnv(t)
	pack := e.pack(Tags, []byte("tags"))
	e.commit(&Commit{})
	c := e.next(&Commit{
		Condemned: []CondemnRow{{Name: pack.Name, Size: pack.Size, Why: `half "dead"`}},
		Deleted:   []DeletedRow{{pack.Name, pack.Size}},
		Forgotten: map[string][]Span{devA: {{1, 5}, {7, 7}}, devB: {{2, 9}}},
	})
	s := must(EncodeCommit(e.k, e.d, c))(t)
	got := must(DecodeCommit(e.k, e.certs, s.Name, s.Body))(t)
	if diff := cmp.Diff(c, got); diff != "" {
		t.Error(diff)
	}
	row := CondemnRow{pack.Name, pack.Size, "old", devA, 17}
	back := must(parseRow(bytes.TrimSpace(appendRow(nil, row))))(t)
	if diff := cmp.Diff(Row(row), back); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{
		`{"forget":{"x":[1,2]}}`, `{"forget":{"` + devA + `":[1]}}`, `{"forget":{"` + devA + `":[2,1]}}`,
		`{"deleted":"keys/recovery.age","size":1}`, `{"condemn":"` + pack.Name + `","size":1,"by":"` + devA + `"}`,
	} {
		if row, err := parseRow([]byte(bad)); err == nil {
			t.Errorf("%s: %v", bad, row)
		}
	}
}

// TestNeeded compares with counting by hand, for objects that share blobs, some of them
// condemned.
func TestNeeded(t *testing.T) {
	rng := rand.New(rand.NewPCG(uint64(tools.Seed(t)), 1))
	e := newEnv(t)
	blobs := make([][]byte, 60)
	for i := range blobs {
		blobs[i] = noise(uint64(i), 10+i)
	}
	type object struct {
		row       ObjectRow
		blobs     []int
		condemned bool
	}
	var objects []object // the newest last
	for range 12 {
		o := object{blobs: rng.Perm(len(blobs))[:1+rng.IntN(15)], condemned: rng.IntN(4) == 0}
		var in [][]byte
		for _, b := range o.blobs {
			in = append(in, blobs[b])
		}
		o.row = e.pack(Tags, in...)
		e.commit(&Commit{})
		objects = append(objects, o)
	}
	for _, o := range objects {
		if o.condemned {
			e.commit(&Commit{Condemned: []CondemnRow{{Name: o.row.Name, Size: o.row.Size}}})
		}
	}
	needed := map[int]bool{}
	m := e.x.Needs()
	for range 100 {
		b := rng.IntN(len(blobs) / 2)
		needed[b] = true
		if err := m.Add(e.k.BlobID(blobs[b])); err != nil {
			t.Fatal(err)
		}
		if rng.IntN(20) == 0 { // as where there is more than is gathered
			if err := m.flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	uses := must(m.Uses())(t)
	lists := must(m.Blobs(uses))(t)
	if len(uses) != len(objects) {
		t.Fatalf("%d objects, want %d", len(uses), len(objects))
	}
	for i, o := range objects {
		var want Use
		var list []ID
		for _, b := range o.blobs {
			size := int64(len(blobs[b]))
			want.Blobs++
			want.Bytes += size
			later := slices.ContainsFunc(objects[i+1:], func(p object) bool { return !p.condemned && slices.Contains(p.blobs, b) })
			other := slices.ContainsFunc(objects, func(p object) bool { return !p.condemned && slices.Contains(p.blobs, b) })
			counts := needed[b] && (!o.condemned && !later || o.condemned && !other)
			if counts {
				want.Needed++
				want.NeededBytes += size
				list = append(list, e.k.BlobID(blobs[b]))
			}
		}
		at := slices.IndexFunc(uses, func(u Use) bool { return u.Object.Name == o.row.Name })
		got := uses[at]
		if got.Blobs != want.Blobs || got.Bytes != want.Bytes || got.Needed != want.Needed || got.NeededBytes != want.NeededBytes || got.Condemned != o.condemned {
			t.Errorf("object %d: %+v, want %+v", i, got, want)
		}
		slices.SortFunc(list, func(a, b ID) int { return bytes.Compare(a[:], b[:]) })
		if !slices.Equal(list, lists[o.row.Name]) {
			t.Errorf("object %d: other blobs are needed", i)
		}
	}
	e.commit(&Commit{})
	if _, err := m.Uses(); err == nil {
		t.Error("what was found is believed after a commit was taken in")
	}
}
