package model

import (
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"
)

// shortening is how long a sequence that fails is run again and again, with
// ever fewer operations.
const shortening = 2 * time.Minute

// sequence is one random sequence; it returns the number of operations.
func (r *rig) sequence(rt *rapid.T, tracks [][]byte) int {
	if r.used == renewal {
		r.close()
	}
	var ops, past []op
	problem := r.run(tracks, func(w *world) {
		past = r.past
		rt.Repeat(map[string]func(*rapid.T){"do": func(rt *rapid.T) {
			if w.problem == "" {
				w.do(rapid.Custom(w.draw).Draw(rt, "op"))
			}
		}})
		w.end()
		ops = w.done
	})
	if problem != "" {
		rt.Fatal(r.report(tracks, past, ops, problem))
	}
	return len(ops)
}

// run has a sequence done in a world of its own and returns what differed.
func (r *rig) run(tracks [][]byte, sequence func(*world)) (problem string) {
	if problem = caught(r.prepare); problem != "" {
		r.close()
		return problem
	}
	w := r.newWorld(tracks)
	sequence(w)
	w.closeAll()
	r.used++
	r.past = append(r.past, w.done...)
	if w.problem != "" {
		r.close()
	}
	return w.problem
}

// report tells of a failure with as few operations as show it, on a new
// repository; past are those of the sequences that shared the one it failed on.
//
// Rapid shrinks by drawing again, where leaving one operation out makes others of
// all that follow; here they stay what they are. Rapid's own runs of the same
// sequence get the same report.
func (r *rig) report(tracks [][]byte, past, ops []op, problem string) string {
	key := lines(ops, false)
	if r.reports[key] != "" {
		return r.reports[key]
	}
	r.t.Logf("to be shortened: %s\nafter:\n%s", problem, lines(ops, true))
	text := problem + "\nonce, and not again, after:\n" + lines(ops, true)
	for _, all := range [][]op{ops, slices.Concat(past, ops)} {
		if done, again := r.repeat(tracks, all); again != "" {
			done, again = r.shorten(tracks, done, again)
			text = again + "\nafter:\n" + lines(done, true)
			break
		}
	}
	r.close() // rapid tries the sequence again, and shall find what there was at first
	r.t.Log(text)
	if r.reports == nil {
		r.reports = map[string]string{}
	}
	r.reports[key] = text
	return text
}

// repeat does operations on a new repository. It returns those that could be
// done, and what differed.
func (r *rig) repeat(tracks [][]byte, ops []op) (done []op, problem string) {
	r.close()
	problem = r.run(tracks, func(w *world) {
		for _, o := range ops {
			w.do(o)
		}
		w.compare("at the end", true)
		done = w.done
	})
	return done, problem
}

// shorten leaves out operations, many at once and then single ones, as long as
// the rest fails.
func (r *rig) shorten(tracks [][]byte, ops []op, problem string) ([]op, string) {
	begun := time.Now()
	for size := (len(ops) + 1) / 2; size > 0; size /= 2 {
		for at := len(ops) - size; at > -size; at -= size {
			if time.Since(begun) > shortening {
				return ops, problem
			}
			fewer := slices.Delete(slices.Clone(ops), max(at, 0), at+size)
			if done, p := r.repeat(tracks, fewer); p != "" {
				ops, problem, at = done, p, min(at, len(done))
			}
		}
	}
	return ops, problem
}

func lines(ops []op, results bool) string {
	var b strings.Builder
	for _, o := range ops {
		b.WriteString("  " + o.text)
		if results {
			b.WriteString(o.result)
		}
		b.WriteString("\n")
	}
	return b.String()
}
