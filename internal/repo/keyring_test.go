package repo

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
)

// TestForgedKeys: whoever knows the keys of the repository, and may write to its
// bucket, cannot have what comes sealed to him.
func TestForgedKeys(t *testing.T) {
	e := newEnv(t)
	ctx := t.Context()
	mine := must(NewRecoveryKey())(t)
	other := newEnv(t)
	if err := AddKey(ctx, e.st, e.k, other.root, KeyInfo{Name: "mine", Recipient: mine.Recipient()}, ""); !errors.Is(err, ErrWrongKey) {
		t.Fatalf("added with another repository's root: %v", err)
	}
	// A record by another root, one of another name, and a key without a record.
	forged := must(newKeys(e.k.id, e.k.hashKey[:], other.k.root, e.k.ring.Load().secrets, nil))(t)
	if err := signKey(ctx, e.st, forged, other.root, KeyInfo{Name: "mine", Recipient: mine.Recipient()}); err != nil {
		t.Fatal(err)
	}
	e.overwrite("keys/moved.record.age", e.body("keys/recovery.record.age"))
	text := must(e.k.MarshalText())(t)
	for _, name := range []string{"mine", "moved"} {
		if err := putSealed(ctx, e.st, keyFile(name), text, mine.Recipient()); err != nil {
			t.Fatal(err)
		}
	}
	infos, bad, err := ListKeys(ctx, e.st, e.k)
	if err != nil || len(bad) != 2 || len(infos) != 3 {
		t.Fatal(infos, bad, err)
	}
	wantErr(t, errors.Join(bad...), ErrSignature, "keys/mine.record.age")
	wantErr(t, errors.Join(bad...), ErrCorrupt, "keys/moved.record.age")
	next := must(BeginEpoch(ctx, e.st, e.k, e.root, e.certs))(t)
	if k, _, err := Unlock(ctx, e.st, mine); err != nil || k.Epoch() != 1 {
		t.Fatalf("the forged key has epoch %d: %v", k.Epoch(), err)
	}
	if k, _, err := Unlock(ctx, e.st, e.recovery); err != nil || k.Epoch() != 2 || next.Epoch() != 2 {
		t.Fatalf("the recovery key has not the new epoch: %v", err)
	}

	// Keys with an epoch that the root did not sign, for a device and for a key.
	sig := next.ring.Load().sigs[0]
	evil := must(NewRecoveryKey())(t).String()
	secrets := append(slices.Clone(next.ring.Load().secrets[:1]), evil)
	if _, err := newKeys(e.k.id, e.k.hashKey[:], e.k.root, secrets, [][]byte{sig}); err == nil {
		t.Fatal("an epoch passes under the signature of another")
	}
	lie := strings.Replace(string(must(next.MarshalText())(t)), next.ring.Load().secrets[1], evil, 1)
	to := must(deviceRecipient(e.certs[e.d.ID].Key))(t)
	if err := putSealed(ctx, e.st, epochName(e.d.ID, 2), []byte(lie), to); err != nil {
		t.Fatal(err)
	}
	e.k.TakeFor(e.d, nil)
	_, bad, err = Devices(ctx, e.st, e.k)
	if err != nil || len(bad) != 1 || e.k.Epoch() != 1 {
		t.Fatal(bad, err, e.k.Epoch())
	}
	wantErr(t, bad[0], ErrCorrupt, epochName(e.d.ID, 2))
}

// TestRetire: a retired device reads nothing new, and nothing it commits counts.
func TestRetire(t *testing.T) {
	e := newEnv(t)
	ctx := t.Context()
	e.commit(&Commit{Inodes: []InodeRow{track(2)}})
	lost, lostHead, lostKeys := e.d, e.head, must(ParseKeys(must(e.k.MarshalText())(t)))(t)
	e.d, e.head = e.enrol(), Head{}
	e.commit(&Commit{Inodes: []InodeRow{track(3)}})

	said := must(Retire(ctx, e.st, e.k, e.root, e.certs[lost.ID]))(t)
	if said.Last != lostHead {
		t.Fatalf("retired at %v, want %v", said.Last, lostHead)
	}
	var bad []error
	var err error
	if e.certs, bad, err = Devices(ctx, e.st, e.k); err != nil || len(bad) > 0 || e.certs[lost.ID].Retired == nil {
		t.Fatal(e.certs, bad, err)
	}
	if again := must(Retire(ctx, e.st, e.k, e.root, e.certs[lost.ID]))(t); *again != *said {
		t.Errorf("the second time it says %v", again)
	}
	_, _, err = OwnHead(ctx, e.st, lost.ID, lostHead)
	wantErr(t, err, ErrRetired, lost.ID)
	if _, epoch, err := OwnHead(ctx, e.st, e.d.ID, e.head); err != nil || epoch > 0 {
		t.Error(epoch, err)
	}

	// The new epoch reaches the recovery key and the device that is left.
	must(BeginEpoch(ctx, e.st, e.k, e.root, e.certs))(t)
	lostKeys.TakeFor(lost, nil)
	if _, _, err := Devices(ctx, e.st, lostKeys); err != nil || lostKeys.Epoch() != 1 {
		t.Fatalf("the lost device has epoch %d: %v", lostKeys.Epoch(), err)
	}
	if _, epoch, err := OwnHead(ctx, e.st, e.d.ID, e.head); err != nil || epoch != 2 {
		t.Errorf("the log of the device that is left tells of epoch %d: %v", epoch, err)
	}
	kept := 0
	e.k.TakeFor(e.d, func() error { kept++; return nil })
	if e.certs, _, err = Devices(ctx, e.st, e.k); err != nil || e.k.Epoch() != 2 {
		t.Fatalf("the device that is left has epoch %d: %v", e.k.Epoch(), err)
	}
	if _, _, err := Devices(ctx, e.st, e.k); err != nil || kept != 1 {
		t.Errorf("the new keys were kept %d times: %v", kept, err)
	}
	c := e.commit(&Commit{Inodes: []InodeRow{track(4)}})
	if _, err := lostKeys.OpenObject(c.Name, e.body(c.Name)); err == nil {
		t.Error("the lost device reads what came after")
	}
	cold, root, err := Unlock(ctx, e.st, e.recovery)
	if err != nil || root == nil || c.Epoch != 2 {
		t.Fatal(err)
	}
	must(cold.OpenObject(c.Name, e.body(c.Name)))(t)

	// Who has the device commits on: a change, a checkpoint with its hint, and
	// another commit in the place of its last.
	refused := map[string]bool{}
	write := func(c *Commit) *Commit {
		c.Time = e.clock
		e.put(must(EncodeCommit(lostKeys, lost, c))(t))
		refused[c.Name] = true
		return c
	}
	one := write(&Commit{Kind: Changes, Seq: lostHead.Seq + 1, Prev: lostHead.SHA, Inodes: []InodeRow{track(5)}})
	two := write(&Commit{Kind: CheckpointCommit, Seq: one.Seq + 1, Prev: one.Head().SHA, Heads: map[string]Head{lost.ID: one.Head()}})
	e.overwrite(HintName(two), []byte("\n"))
	write(&Commit{Kind: Changes, Seq: 1, Repo: strings.Repeat("0", 64)})

	var got []string
	err = ReadLog(ctx, e.st, cold, e.certs, nil, func(c *Commit) error { got = append(got, c.Name); return nil })
	if err != nil || len(got) != 3 {
		t.Errorf("%d commits are read, want 3: %v", len(got), err)
	}
	if c, err := LatestCheckpoint(ctx, e.st, cold, e.certs); c != nil || err != nil {
		t.Errorf("the checkpoint %v is taken: %v", c, err)
	}
	if names := must(Refused(ctx, e.st, e.certs[lost.ID]))(t); !slices.Equal(names, slices.Sorted(maps.Keys(refused))) {
		t.Errorf("refused are %v, want %v", names, refused)
	}
	findings, _, err := Check(ctx, e.st, e.k, e.x, CheckOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		if errors.Is(f.Err, ErrRetired) {
			delete(refused, f.Object)
		} else if !f.Harmless && !errors.Is(f.Err, ErrFork) {
			t.Errorf("found %v", f)
		}
	}
	if len(refused) > 0 {
		t.Errorf("check says nothing of %v", refused)
	}

	// The statement lost in one place is found in the other.
	e.overwrite(retiredName(lost.ID), flip(e.body(retiredName(lost.ID)), 250))
	if certs, bad, err := Devices(ctx, e.st, e.k); err != nil || len(bad) > 0 || certs[lost.ID].Retired == nil {
		t.Error("a damaged statement makes the device a member again:", bad, err)
	}
	// Lost from its place, it is missed.
	if err := e.st.Delete(ctx, retiredName(lost.ID)); err != nil {
		t.Fatal(err)
	}
	findings, _, err = Check(ctx, e.st, e.k, e.x, CheckOptions{})
	missed := slices.ContainsFunc(findings, func(f Finding) bool { return f.Object == retiredName(lost.ID) && f.Kind == KindMissing })
	if err != nil || !missed {
		t.Error("check does not miss the statement that was deleted", err)
	}
}
