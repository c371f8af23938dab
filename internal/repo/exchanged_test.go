package repo

import (
	"bytes"
	"testing"

	"github.com/tunesafe/tunesafe/tests/tools"
)

// TestKeysExchanged: a file of keys/ that has the bytes of another, or of another repository's,
// is found and put back, also where the home came by the bucket in between.
func TestKeysExchanged(t *testing.T) {
	tools.StepByStep(t)
	other := newEnv(t)
	record := "keys/" + RecoveryName + recordEnd
	for _, c := range []struct {
		name, from string
		foreign    bool
	}{{recoveryFile, rootFile, false}, {rootFile, recoveryFile, false}, {record, recoveryFile, false}, {recoveryFile, recoveryFile, true}, {rootFile, rootFile, true}, {record, record, true}} {
		e := newEnv(t)
		kept := OpenKept(t.TempDir())
		if err := kept.KeepSmall(t.Context(), e.st, e.k); err != nil {
			t.Fatal(err)
		}
		was, bad := e.body(c.name), e.body(c.from)
		if c.foreign {
			bad = other.body(c.from)
		}
		e.overwrite(c.name, bad)
		if err := kept.KeepSmall(t.Context(), e.st, e.k); err != nil {
			t.Fatal(err)
		}
		found := func() (is bool) {
			t.Helper()
			all, _, err := Check(t.Context(), e.st, e.k, nil, CheckOptions{Kept: kept, Recovery: e.recovery})
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range all {
				is = is || f.Object == c.name && !f.Harmless
			}
			return is
		}
		if !found() {
			t.Errorf("%+v is not found", c)
		}
		if _, err := MendSmall(t.Context(), e.st, e.k, kept, e.recovery); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
		if !bytes.Equal(e.body(c.name), was) || found() {
			t.Errorf("%+v is not as it was", c)
		}
	}
}
