package repo

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/tests/tools"
)

// TestReadLogPassesOverLost: what a commit says is lost, and only that, is passed over,
// missing or damaged in its place, by all who read the log.
func TestReadLogPassesOverLost(t *testing.T) {
	tools.StepByStep(t)
	for _, lost := range [][]int{{0}, {2}, {2, 3}, {0, 1, 2}, {1, 3}, {5}, {4, 5}, {0, 1, 2, 3, 4, 5}} {
		for _, way := range []string{"missing", "damaged", "number"} {
			e, names := chainOf(t, 6)
			a, head := e.d, e.head
			b := e.enrol()
			var say, want []string
			for i, name := range names {
				switch {
				case !slices.Contains(lost, i):
					want = append(want, seqKey(a.ID, uint64(i+1)))
					continue
				case way == "damaged":
					body := e.body(name)
					body[len(body)-3] ^= 1
					e.overwrite(name, body)
					say = append(say, name)
					continue
				case way == "number" && i < 5:
					say = append(say, lostName(a.ID, Head{Seq: uint64(i + 1)}))
				default:
					say = append(say, name)
				}
				if err := e.st.Delete(t.Context(), name); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := e.numbers(map[string]Head{a.ID: head}); !slices.Contains(lost, 5) && (err != nil || len(got) > 0) {
				t.Errorf("%s %v: behind the newest: %v %v", way, lost, got, err)
			}
			if _, err := e.numbers(nil); (way == "damaged" || !slices.Contains(lost, 5)) && !IsLogFault(err) { // a missing tail shows by the head alone
				t.Errorf("%s %v: read without a word: %v", way, lost, err)
			}
			e.d, e.head = b, Head{} // another device says so, and the first goes on
			e.commit(&Commit{Lost: say})
			e.d, e.head = a, head
			last := e.commit(&Commit{})
			want = append(want, seqKey(b.ID, 1), seqKey(a.ID, 7))
			got, err := e.numbers(nil)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%s %v: %v %v, want %v", way, lost, got, err, want)
			}
			since, err := HeadsBefore(t.Context(), e.st, e.k, e.certs, last.Time)
			if err != nil || since[a.ID].Seq >= 7 || since[b.ID].Seq != 1 {
				t.Errorf("%s %v: heads before the last: %v %v", way, lost, since, err)
			}
			if got, err := e.numbers(since); err != nil || !slices.Equal(got, want[len(want)-1:]) {
				t.Errorf("%s %v: behind those: %v %v", way, lost, got, err)
			}
			if _, err := HeadsBefore(t.Context(), e.st, e.k, e.certs, time.Unix(1, 0)); err != nil {
				t.Errorf("%s %v: %v", way, lost, err)
			}
			if marks, err := Marks(t.Context(), e.st, e.k, e.certs); err != nil || len(marks) != 2 {
				t.Errorf("%s %v: marks %v %v", way, lost, marks, err)
			}
			if marked := must(Retire(t.Context(), e.st, e.k, e.root, e.certs[a.ID]))(t); marked.Last != last.Head() {
				t.Errorf("%s %v: retired as of %v", way, lost, marked.Last)
			}
		}
	}
}

// TestLostIsNoExcuse: of what is not said to be lost nothing is passed over, and a commit
// that names another one as its predecessor does not follow.
func TestLostIsNoExcuse(t *testing.T) {
	e, names := chainOf(t, 5)
	e.commit(&Commit{Lost: names[1:2]})
	for _, name := range names[1:3] {
		if err := e.st.Delete(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := e.numbers(nil); !errors.Is(err, ErrChain) {
		t.Errorf("two of which one is lost: %v %v", got, err)
	}
	e, names = chainOf(t, 3)
	other := lostName(e.d.ID, Head{2, names[0][len(names[0])-68 : len(names[0])-4]})
	e.commit(&Commit{Lost: []string{other}})
	if err := e.st.Delete(t.Context(), names[1]); err != nil {
		t.Fatal(err)
	}
	if got, err := e.numbers(nil); !errors.Is(err, ErrChain) {
		t.Errorf("another of that number is lost: %v %v", got, err)
	}
}
