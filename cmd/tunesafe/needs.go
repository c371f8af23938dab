package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tunesafe/tunesafe/internal/agent"
	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/store"
	tsync "github.com/tunesafe/tunesafe/sync"
	"github.com/tunesafe/tunesafe/sync/feed"
)

// lasting are the troubles that do not pass by themselves.
var lasting = []error{
	store.ErrDenied, store.ErrNoBucket, store.ErrFull, store.ErrClock,
	repo.ErrWrongKey, repo.ErrNoRepository, repo.ErrNewerFormat, repo.ErrFork, repo.ErrChain, repo.ErrSignature, repo.ErrCorrupt, repo.ErrRetired,
	tsync.ErrCloned, errNeedsKey,
}

// rehearsalHint is what to do about a rehearsal that went wrong.
const rehearsalHint = "tunesafe check --read says what is damaged in the store, tunesafe repair puts back what this computer has; then tunesafe rehearse"

func needsPerson(err error) bool {
	return slices.ContainsFunc(lasting, func(l error) bool { return errors.Is(err, l) })
}

// needsOfDrive is what a person must see to, as far as the drive tells.
func needsOfDrive(s control.Status) (needs []agent.Need) {
	if s.Trouble != nil && s.Refused {
		needs = append(needs, agent.Need{Key: "store: " + s.Trouble.Hint, Text: "uploads wait: " + s.Trouble.Text, Hint: s.Trouble.Hint})
	}
	if s.DiskError != nil {
		needs = append(needs, agent.Need{Key: "disk", Text: "the disk of " + s.Home + ": " + s.DiskError.Text, Hint: s.DiskError.Hint})
	}
	if h := s.Health; h != nil && h.Damaged > 0 {
		needs = append(needs, agent.Need{Key: "damaged", Text: damagedText(*h), Hint: damagedHint})
	}
	if h := s.Health; h != nil && h.Rehearsed != nil && len(h.Rehearsed.Problems) > 0 {
		needs = append(needs, agent.Need{Key: "rehearsal", Text: rehearsedText(*h.Rehearsed) + ": " + h.Rehearsed.Problems[0], Hint: rehearsalHint})
	}
	if l := s.Lock; l != nil && l.Late {
		needs = append(needs, agent.Need{Key: "lock", Text: lateLockText(*l), Hint: lateLockHint})
	}
	for _, p := range s.Places {
		for _, h := range p.Held {
			if h.Decision == "" {
				hint := fmt.Sprintf("if it was meant: tunesafe approve %s; if not: mend the folder, or tunesafe reject %s", p.Name, p.Name)
				if h.Kind == string(feed.Rot) && len(h.Sample) > 0 {
					hint = rotHint(string(p.Name), string(h.Sample[0])) + "; " + hint
				}
				needs = append(needs, agent.Need{Key: "held: " + string(p.Name) + ": " + h.Kind, Text: h.Text, Hint: hint})
			}
		}
	}
	return needs
}

// needsOf adds what the agent knows, for the status.
func needsOf(s control.Status, overdue agent.Need, late bool) []control.Fault {
	needs := needsOfDrive(s)
	if late {
		needs = append(needs, overdue)
	}
	faults := []control.Fault{}
	for _, n := range needs {
		faults = append(faults, control.Fault{Text: n.Text, Hint: n.Hint, Exit: exitNeeds})
	}
	return faults
}
