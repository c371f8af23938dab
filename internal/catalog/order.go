package catalog

import (
	"regexp"
	"slices"
	"strings"
)

// articles begin names that are sorted by the word behind them.
var articles = map[string]bool{
	"the": true, "a": true, "an": true,
	"der": true, "die": true, "das": true,
	"le": true, "la": true, "les": true,
	"el": true, "los": true, "las": true,
	"il": true, "lo": true, "gli": true,
	"het": true, "os": true,
}

// SortKey is what a name is sorted by: "The Beatles" under B, "Les Négresses
// Vertes" under N. Keys are compared bytewise.
func SortKey(name string) string {
	s := strings.TrimSpace(name)
	if word, rest, ok := strings.Cut(s, " "); ok && articles[strings.ToLower(word)] {
		if key := Fold(rest); key != "" {
			return key
		}
	}
	for _, short := range []string{"l'", "l’"} { // L'Arpeggiata
		if len(s) > len(short)+1 && strings.EqualFold(s[:len(short)], short) {
			return Fold(s[len(short):])
		}
	}
	return Fold(s)
}

// particles belong to the given names where composers are sorted.
var particles = map[string]bool{
	"van": true, "von": true, "der": true, "den": true, "de": true, "di": true, "da": true, "del": true,
	"della": true, "du": true, "la": true, "le": true, "ten": true, "ter": true, "zu": true, "af": true, "av": true,
}

// suffixes stand behind a family name.
var suffixes = map[string]bool{"jr": true, "sr": true, "ii": true, "iii": true, "iv": true}

// SurnameKey is what a composer is sorted by: "Jean Sibelius" and "Sibelius,
// Jean" both under S, "Ludwig van Beethoven" under B.
func SurnameKey(name string) string {
	name = undated(name)
	if last, first, ok := inverted(name); ok {
		return Fold(last + " " + first)
	}
	words := strings.Fields(Fold(name))
	n := len(words)
	if n > 2 && suffixes[words[n-1]] {
		n--
	}
	if n < 2 || articles[words[0]] && !particles[words[0]] {
		return strings.Join(words, " ")
	}
	key := append([]string{words[n-1]}, words[:n-1]...)
	return strings.Join(append(key, words[n:]...), " ")
}

// lived is when somebody lived, behind a name: "(1865-1957)", "(b. 1937)".
var lived = regexp.MustCompile(`\s*\((?:b\.\s*|born\s+|\*\s*)?[0-9]{4}(?:\s*[-–]\s*(?:[0-9]{4})?)?\)$`)

// undated is a name without that.
func undated(name string) string {
	if name = strings.TrimSpace(name); strings.HasSuffix(name, ")") {
		if at := lived.FindStringIndex(name); at != nil && at[0] > 0 {
			return name[:at[0]]
		}
	}
	return name
}

// several is what albums of many artists are said to be by, folded.
var several = map[string]bool{
	"various artists": true, "various": true, "va": true, "v a": true, "diverse": true, "diverse interpreten": true,
	"verschiedene interpreten": true, "verschiedene": true, "verschiedene kunstler": true, "artistes divers": true,
	"divers": true, "artisti vari": true, "varios artistas": true, "varios": true, "blandade artister": true, "разные исполнители": true,
}

// Same is the form in which a name is the same however it is written: "Sibelius,
// Jean" and "Jean Sibelius", "Beatles, The" and "the Beatles".
func Same(name string) string {
	name = undated(name)
	if last, first, ok := inverted(name); ok {
		return Fold(first + " " + last)
	}
	return Fold(name)
}

// inverted tells the family name from the rest where a comma does. Of names of
// bands ("Crosby, Stills & Nash") and of lists the comma says nothing.
func inverted(name string) (last, first string, ok bool) {
	last, first, ok = strings.Cut(name, ",")
	last, first = strings.TrimSpace(last), strings.TrimSpace(first)
	ok = ok && Fold(last) != "" && Fold(first) != "" && !strings.ContainsAny(first, ",;&/+") &&
		!slices.Contains(strings.Fields(Fold(first)), "and")
	return last, first, ok
}
