package feed

import "time"

// teller passes on how a run goes, not more often than people can see.
type teller struct {
	to   func(Progress)
	p    Progress
	next time.Time
}

const tellPause = 200 * time.Millisecond

// begin starts a scan.
func (t *teller) begin() {
	t.p = Progress{}
	t.phase(PhaseScan)
}

func (t *teller) phase(name string) {
	t.p.Phase = name
	t.next = time.Time{}
	t.tell()
}

func (t *teller) tell() {
	if t.to == nil {
		return
	}
	if now := time.Now(); !now.Before(t.next) {
		t.next = now.Add(tellPause)
		t.to(t.p)
	}
}

func (t *teller) scanned(n int64) { t.p.Scanned += n; t.tell() }
func (t *teller) fresh()          { t.p.New++ }
func (t *teller) changed()        { t.p.Changed++ }
func (t *teller) surveyed()       { t.p.Surveyed++; t.tell() }
func (t *teller) applied()        { t.p.Applied++; t.tell() }

// moreToApply is for what is found while it is applied.
func (t *teller) moreToApply(n int) { t.p.ToApply += int64(n) }

func (t *teller) toApply(n int) {
	t.p.ToApply = int64(n)
	t.phase(PhaseApply)
}
