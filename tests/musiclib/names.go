package musiclib

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"
)

// artists make the second half of the albums. Two names are decomposed (NFD),
// as a Mac's file system gives them.
var artists = []string{
	"Bach, Johann Sebastian (1685-1750)", "Dvořák, Antonín (1841-1904)", "Björk", "Sigur Rós",
	"Miles Davis", "坂本龍一", "AC/DC", "Кино", "Joni Mitchell", "Arvo Pa\u0308rt", "The Beatles",
	"فيروز", "Fela Kuti", "Godspeed You! Black Emperor", "Μίκης Θεοδωράκης", "Motorhead & Friends",
	"Cafe\u0301 Tacvba", "Kraftwerk", "이난영", "Billie Holiday",
}

var words = []string{
	"Symphony", "Allegro", "Night", "River", "Blue", "Winter", "Glass", "Concerto", "Moon", "Suite",
	"Silver", "Garden", "Dance", "Stone", "Prelude", "Harbour", "Sleep", "Andante", "Light", "Machine",
	"Road", "Fire", "Elegy", "Sunday", "Letter", "Ocean", "Finale", "Mirror", "Étude", "Größe", "Älv",
	"Lied", "Nocturne", "E\u0301tude", "夜想曲", "Весна", "What's", "50%", "(Live)", "Vol. 2",
}

// rng is a stream of random numbers of its own for every label.
func rng(seed uint64, label string, n int) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s/%d", label, n)
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

func phrase(r *rand.Rand, n int) string {
	w := make([]string, n)
	for i := range w {
		w[i] = words[r.IntN(len(words))]
	}
	return strings.Join(w, " ")
}

// fileName is what iTunes makes of a tag: '_' for what some file system cannot
// hold, and no full stop at the end.
func fileName(s string) string {
	s = strings.Map(func(c rune) rune {
		if strings.ContainsRune(`/:\?*"<>|;`, c) {
			return '_'
		}
		return c
	}, strings.TrimSpace(s))
	if strings.HasSuffix(s, ".") {
		s = s[:len(s)-1] + "_"
	}
	return s
}
