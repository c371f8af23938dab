package repo

import "testing"

// TestLockOf: how the devices lock is what the newest commit says that says anything.
func TestLockOf(t *testing.T) {
	e := newEnv(t)
	of := func() Lock { return must(LockOf(t.Context(), e.st, e.k))(t) }
	a, b := e.d, e.enrol()
	if l := of(); l != (Lock{}) {
		t.Errorf("of an empty log: %+v", l)
	}
	e.commit(&Commit{Lock: Lock{"compliance", 30}})
	if l := of(); l != (Lock{"compliance", 30}) {
		t.Errorf("one says so: %+v", l)
	}
	mine := e.head
	e.d, e.head = b, Head{}
	e.commit(&Commit{})
	if l := of(); l != (Lock{"compliance", 30}) {
		t.Errorf("another locks nothing: %+v", l)
	}
	e.commit(&Commit{Lock: Lock{"governance", 7}})
	if l := of(); l != (Lock{"governance", 7}) {
		t.Errorf("the newest: %+v", l)
	}
	e.d, e.head = a, mine
	e.commit(&Commit{Lock: Lock{"compliance", 60}})
	if l := of(); l != (Lock{"compliance", 60}) {
		t.Errorf("the first again: %+v", l)
	}
}
