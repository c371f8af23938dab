package sync

import (
	"strings"
	"testing"

	"github.com/tunesafe/tunesafe/internal/store"
)

// What a home keeps of certificates and keys is not read at its next start; one that was
// exchanged is, and one that was removed counts no more.
func TestStartReadsWhatIsNew(t *testing.T) {
	w := newWorld(t)
	one, two := w.device("one"), w.device("two")
	one.write("a", []byte("a"))
	one.wait()
	start := func() store.Counts {
		two.close()
		counted := store.Count(w.mem)
		two.open(counted)
		two.close()
		return counted.Counts()
	}
	start()
	if n := start().Gets; n != 0 {
		t.Errorf("a start reads %d objects that it keeps", n)
	}
	cert := "devices/" + one.dev.ID + ".age"
	if err := w.mem.Put(t.Context(), cert, []byte("another")); err != nil {
		t.Fatal(err)
	}
	two.assemble(w.mem)
	_, err := two.w.Pull(t.Context())
	two.closeFiles()
	if err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("with an exchanged certificate: %v", err)
	}
	if err := w.mem.Delete(t.Context(), cert); err != nil {
		t.Fatal(err)
	}
	two.assemble(w.mem)
	_, err = two.w.Pull(t.Context())
	two.closeFiles()
	if err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without the certificate: %v", err)
	}
}
