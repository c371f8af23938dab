package repo

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tunesafe/tunesafe/internal/store"
)

// Kind is the word for what a [Finding] is: stable, for programs and for the
// person who looks it up.
type Kind string

// Kinds of finding that something is wrong.
const (
	KindMissing    Kind = "missing"     // the log has it, no commit condemned it, and the bucket lacks it
	KindCondemned  Kind = "needed"      // a commit condemned it, and a file still needs it: a fault of the program
	KindResized    Kind = "resized"     // it has another size than it was written with
	KindDamaged    Kind = "damaged"     // its bytes are not those that were written, or no object of ours
	KindRolledBack Kind = "rolled-back" // a commit that was seen before is gone
	KindBroken     Kind = "broken"      // a commit is missing from a chain, or does not follow the one before it
	KindForked     Kind = "forked"      // two commits bear one number
	KindBackdated  Kind = "backdated"   // a commit is older than one it comes after
	KindUnsigned   Kind = "unsigned"    // no enrolled device signed it
	KindRetired    Kind = "retired"     // its device was retired before; nobody takes it in
	KindForeign    Kind = "foreign"     // nothing of Tunesafe's
	KindExchanged  Kind = "exchanged"   // of another repository
	KindNewer      Kind = "newer"       // of a format that this program does not know
	KindArchived   Kind = "archived"    // cannot be read before the provider restores it
)

// Kinds of finding that harm nothing.
const (
	KindUnfinished Kind = "unfinished" // young, named as ours, in no commit: its upload may be under way
	KindLeftover   Kind = "leftover"   // the same, and older: an upload was interrupted
	KindDiscarded  Kind = "discarded"  // condemned, and not deleted yet
	KindNew        Kind = "new"        // written while the check ran
	KindHint       Kind = "hint"       // of a checkpoint that is not there, or missing to one that is
	KindReadme     Kind = "readme"     // readme.txt is not what this version writes
	KindLost       Kind = "lost"       // a commit that is gone; a later one says so, and again what is known of it
)

// harmless kinds are no fault of the repository.
var harmless = []Kind{KindUnfinished, KindLeftover, KindDiscarded, KindNew, KindHint, KindReadme, KindLost}

// Finding is something that [Check] found.
type Finding struct {
	Kind      Kind
	Object    string   // its name in the bucket; empty if the finding is of none
	Problem   string   // for people
	Err       error    // the sentinel that it is about; nil if harmless
	Harmless  bool     // nothing is lost by it
	Inodes    []uint64 // files that cannot be restored because of it
	Put       *Origin  // who put the object; nil if the log does not say
	Condemned *Origin  // who condemned it; nil if nobody did
}

// Origin is the commit that said something of an object.
type Origin struct {
	Device, Name string // the device, and what its owner calls it
	Seq          uint64
	Time         time.Time
	Why          string // of what is condemned
}

// String tells who and when.
func (o *Origin) String() string {
	return fmt.Sprintf("commit %d of %s (%s) at %s", o.Seq, o.Name, o.Device, o.Time.UTC().Format(time.RFC3339))
}

// kindsOf gives the word for each sentinel, where the place that found it has
// no better one.
var kindsOf = []struct {
	err  error
	kind Kind
}{
	{ErrMissing, KindMissing},
	{ErrNewerFormat, KindNewer},
	{ErrSignature, KindUnsigned},
	{ErrRetired, KindRetired},
	{ErrFork, KindForked},
	{ErrChain, KindBroken},
	{ErrWrongKey, KindExchanged},
	{ErrCorrupt, KindDamaged},
	{store.ErrArchived, KindArchived},
}

// find adds a finding about err.
func (c *checker) find(kind Kind, object string, err error, format string, args ...any) *Finding {
	c.findings = append(c.findings, Finding{
		Kind: kind, Object: object, Problem: fmt.Sprintf(format, args...), Err: err, Harmless: slices.Contains(harmless, kind),
	})
	return &c.findings[len(c.findings)-1]
}

// findError makes a finding of an error that is about the repository, and
// returns one that is about the way to it.
func (c *checker) findError(object string, err error) error {
	for _, k := range kindsOf {
		if errors.Is(err, k.err) {
			c.find(k.kind, object, k.err, "%s", strings.TrimPrefix(err.Error(), object+": "))
			return nil
		}
	}
	return err
}

// sorted gives the findings, the worst first.
func (c *checker) sorted() []Finding {
	slices.SortStableFunc(c.findings, func(x, y Finding) int {
		switch {
		case x.Harmless == y.Harmless:
			return strings.Compare(x.Object, y.Object)
		case x.Harmless:
			return 1
		}
		return -1
	})
	return c.findings
}

// KindOf gives the word for an error that [IsFinding].
func KindOf(err error) Kind {
	for _, k := range kindsOf {
		if errors.Is(err, k.err) {
			return k.kind
		}
	}
	return KindDamaged
}
