package repo

import (
	"bytes"
	"crypto/md5" //nolint:gosec // as servers tell it
	"slices"
	"testing"

	"github.com/tunesafe/tunesafe/internal/store"
)

// What a home reads and writes while it is made is kept, and not read again as long as a
// listing tells the same of it.
func TestPassing(t *testing.T) {
	e := newEnv(t)
	seen := NewPassing(e.st)
	if _, _, err := Unlock(t.Context(), seen, e.recovery); err != nil {
		t.Fatal(err)
	}
	d := must(Enrol(t.Context(), seen, e.k, e.root, "new"))(t)
	if _, _, err := Devices(t.Context(), seen, e.k); err != nil {
		t.Fatal(err)
	}
	seen.note("devices/0123456789abcdef.age", []byte("no certificate"))
	kept := OpenKept(t.TempDir())
	if err := seen.KeepIn(kept, e.k); err != nil {
		t.Fatal(err)
	}
	names := slices.Concat(kept.Names(""))
	want := []string{"devices/" + d.ID + ".age", "devices/" + e.d.ID + ".age", recoveryFile, rootFile, repoFile}
	slices.Sort(names)
	slices.Sort(want)
	if !slices.Equal(names, want) {
		t.Fatalf("%v are kept, want %v", names, want)
	}
	for info, err := range e.st.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(names, info.Key) {
			continue
		}
		body := must(getAll(t.Context(), e.st, info.Key, maxSmall))(t)
		if !bytes.Equal(kept.Listed(info), body) {
			t.Errorf("%s is not given as it is there", info.Key)
		}
		other, longer, silent := info, info, info
		sum := md5.Sum([]byte("something else"))
		other.MD5 = sum[:]
		longer.Size++
		silent.MD5 = nil
		for _, info := range []store.Info{other, longer, silent} {
			if kept.Listed(info) != nil {
				t.Errorf("%+v is given from what is kept", info)
			}
		}
	}
}
