package repo

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tunesafe/tunesafe/internal/store"
)

// library is a small repository with every kind of object in it.
type library struct {
	*env
	audio, shared, tags, art ObjectRow
	first, second            *Commit
}

func newLibrary(t *testing.T) *library {
	l := &library{env: newEnv(t)}
	a, b, c := noise(1, 2*chunkSize+9), noise(2, 3000), noise(3, 3000)
	tagA, tagB, pic := noise(4, 500), noise(5, 500), noise(6, 90<<10)
	l.tags = l.pack(Tags, tagA, tagB)
	l.first = l.commit(&Commit{
		Inodes: []InodeRow{track(2, one(Tags, l.ref(tagA)), Part{Kind: Audio, Size: int64(len(a))})},
		Names:  []NameRow{{1, "a.mp3", 2}},
	})
	l.audio, l.shared, l.art = l.env.audio(a), l.env.audio(b, c), l.pack(Art, pic, noise(7, 10))
	l.second = l.commit(&Commit{
		Inodes: []InodeRow{
			track(2, one(Tags, l.ref(tagA)), one(Audio, l.ref(a))),
			track(3, one(Tags, l.ref(tagB)), one(Art, l.ref(pic)), one(Audio, l.ref(b))),
			track(4, Part{Kind: Audio, Size: 12345}),
		},
		Names: []NameRow{{1, "b.mp3", 3}, {1, "c.mp3", 4}},
	})
	l.checkpoint(stateOf(5))
	return l
}

func (l *library) check(read bool) ([]Finding, Summary) {
	l.t.Helper()
	findings, sum, err := Check(l.t.Context(), l.st, l.k, l.x, CheckOptions{Read: read})
	if err != nil {
		l.t.Fatal(err)
	}
	return findings, sum
}

func TestCheckFindsNothing(t *testing.T) {
	l := newLibrary(t)
	steps := 0
	findings, sum, err := Check(t.Context(), l.st, l.k, l.x, CheckOptions{Read: true, Progress: func(n, of, b, ofB int64) {
		if steps++; n != int64(steps) || of != 5 || b > ofB {
			t.Errorf("progress %d of %d, %d of %d", n, of, b, ofB)
		}
	}})
	if err != nil || len(findings) > 0 {
		t.Errorf("%v %v", findings, err)
	}
	if len(sum.Heads) != 1 || !sum.Heads[0].Is(l.d.ID, l.head) {
		t.Errorf("heads %v, want %v", sum.Heads, l.head)
	}
	sum.Bytes, sum.ReadBytes, sum.Heads = 0, 0, nil
	want := Summary{Devices: 1, Commits: 3, Objects: 5, Files: 3, Owed: 1, OwedBytes: 12345, Read: 5}
	if diff := cmp.Diff(want, sum); diff != "" || steps != 5 {
		t.Error(diff, steps)
	}
}

func TestCheckFinds(t *testing.T) {
	other := newEnv(t)
	end := func(body []byte) int { return len(body) - 1 }
	for name, c := range map[string]struct {
		read   bool
		harm   func(l *library) string // gives the object that must be named
		want   error                   // nil: harmless
		inodes []uint64
	}{
		"missing audio": {false, func(l *library) string { l.st.Delete(l.t.Context(), l.audio.Name); return l.audio.Name }, ErrMissing, []uint64{2}},
		"missing pack":  {false, func(l *library) string { l.st.Delete(l.t.Context(), l.tags.Name); return l.tags.Name }, ErrMissing, []uint64{2, 3}},
		"cut":           {false, func(l *library) string { return l.change(l.art.Name, l.body(l.art.Name)[:400]) }, ErrCorrupt, []uint64{3}},
		"padding":       {true, func(l *library) string { b := l.body(l.audio.Name); return l.change(l.audio.Name, flip(b, end(b))) }, ErrCorrupt, []uint64{2}},
		"pack index":    {true, func(l *library) string { b := l.body(l.art.Name); return l.change(l.art.Name, flip(b, end(b))) }, ErrCorrupt, []uint64{3}},
		"exchanged": {true, func(l *library) string {
			l.overwrite(l.shared.Name, l.body(l.env.audio(noise(77, 3000)).Name))
			return l.shared.Name
		}, ErrCorrupt, []uint64{3}},
		"unreferenced": {false, func(l *library) string { return l.change(objectName("meta", [32]byte{1}), noise(1, 300)) }, nil, nil},
		"foreign file": {false, func(l *library) string { return l.change("holiday.jpg", []byte("x")) }, ErrForeign, nil},
		"commit flip":  {false, func(l *library) string { return l.change(l.first.Name, flip(l.body(l.first.Name), 300)) }, ErrCorrupt, nil},
		"commit gone":  {false, func(l *library) string { l.st.Delete(l.t.Context(), l.first.Name); return l.second.Name }, ErrChain, nil},
		"rolled back":  {false, func(l *library) string { l.st.Delete(l.t.Context(), l.lastName()); return l.lastName() }, ErrChain, nil},
		"fork":         {false, func(l *library) string { return commitName(l.d.ID, l.fork(2)) }, ErrFork, nil},
		"certificate":  {false, func(l *library) string { return l.change("devices/"+l.d.ID+".age", []byte("x")) }, ErrCorrupt, nil},
		"other's cert": {false, func(l *library) string {
			return l.change("devices/"+l.d.ID+".age", other.body("devices/"+other.d.ID+".age"))
		}, ErrCorrupt, nil},
		"recovery gone": {false, func(l *library) string { l.st.Delete(l.t.Context(), recoveryFile); return recoveryFile }, ErrMissing, nil},
		"repo.json":     {false, func(l *library) string { return l.change(repoFile, other.body(repoFile)) }, ErrWrongKey, nil},
		"hint": {false, func(l *library) string {
			return l.change("checkpoints/0000000000000001-"+l.d.ID+"-0000000000000009-"+strings.Repeat("00", 32), nil)
		}, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLibrary(t)
			object := c.harm(l)
			findings, _ := l.check(c.read)
			i := slices.IndexFunc(findings, func(f Finding) bool {
				return strings.Contains(f.Object+f.Problem, object) && f.Harmless == (c.want == nil) && errors.Is(f.Err, c.want)
			})
			if i < 0 {
				t.Fatalf("findings %+v, want %v of %s", findings, c.want, object)
			}
			if c.inodes != nil && !slices.Equal(findings[i].Inodes, c.inodes) {
				t.Errorf("files %v, want %v", findings[i].Inodes, c.inodes)
			}
			if c.want == nil && len(findings) != 1 {
				t.Errorf("findings %+v, want one", findings)
			}
		})
	}
}

// change overwrites an object and gives its name.
func (l *library) change(name string, body []byte) string {
	l.overwrite(name, body)
	return name
}

func (l *library) lastName() string { return commitName(l.d.ID, l.head) }

func TestCheckFindsLostBlob(t *testing.T) {
	l := newLibrary(t)
	lost := BlobRef{ID{9}, 10}
	l.commit(&Commit{Inodes: []InodeRow{track(9, one(Tags, lost))}})
	findings, _ := l.check(false)
	if len(findings) != 1 || !strings.Contains(findings[0].Problem, lost.ID.String()) || !slices.Equal(findings[0].Inodes, []uint64{9}) {
		t.Errorf("%+v", findings)
	}
	l.commit(&Commit{Inodes: []InodeRow{{Inode: 9, Gone: true}}})
	if findings, _ := l.check(false); len(findings) > 0 {
		t.Errorf("of a file that is gone: %+v", findings)
	}
}

// committing is a store in which something is committed once a certain object is
// read.
type committing struct {
	store.Store
	at     string
	commit func() // once
}

func (s *committing) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	if name == s.at {
		s.commit()
	}
	return s.Store.Get(ctx, name, off, n)
}

// What is committed while a check runs is not taken for what the bucket lost.
func TestCheckWhileCommitting(t *testing.T) {
	l := newLibrary(t)
	l.pack(Tags, []byte("acknowledged"))
	committed := false
	st := &committing{l.st, l.lastName(), sync.OnceFunc(func() {
		l.commit(&Commit{Names: []NameRow{{1, "d.mp3", 3}}})
		committed = true
	})}
	findings, _, err := Check(t.Context(), st, l.k, l.x, CheckOptions{})
	if err != nil || !committed {
		t.Fatalf("%v; committed meanwhile: %v", err, committed)
	}
	for _, f := range findings {
		if !f.Harmless {
			t.Errorf("%s: %s", f.Object, f.Problem)
		}
	}
}

func TestCheckAcknowledgedAndCondemned(t *testing.T) {
	l := newLibrary(t)
	acked := l.pack(Tags, []byte("acknowledged"))
	extra := l.pack(Tags, []byte("extra"))
	if findings, _ := l.check(true); len(findings) > 0 {
		t.Errorf("%+v", findings)
	}
	l.st.Delete(t.Context(), acked.Name)
	if findings, _ := l.check(true); len(findings) != 1 || findings[0].Object != acked.Name {
		t.Errorf("%+v", findings)
	}
	l.put(must(l.k.Seal("meta", nil))(t)) // nobody's
	l.overwrite(acked.Name, nil)
	l.commit(&Commit{Condemned: []CondemnRow{{Name: extra.Name, Size: extra.Size, Why: "test"}, {Name: acked.Name, Size: acked.Size, Why: "test"}}})
	findings, sum := l.check(true)
	kinds := map[Kind]int{}
	for _, f := range findings {
		kinds[f.Kind]++
	}
	if want := map[Kind]int{KindUnfinished: 1, KindDiscarded: 2}; !maps.Equal(kinds, want) || sum.Unreferenced != 1 || sum.Discarded != 2 {
		t.Errorf("%v, want %v: %+v", kinds, want, findings)
	}
}
