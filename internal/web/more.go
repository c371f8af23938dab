package web

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/tunesafe/tunesafe/internal/catalog"
)

// grown is how many pieces a list in the page grows by as somebody scrolls. Behind
// them comes another page, or the end of a large library would take all the memory of
// the browser.
const grown = 5

// more is how a list goes on, and where what is before it on other pages is.
type more struct {
	Words   string // what there is more of
	URL     string // of the page that goes on; empty: here is the end
	Piece   string // of what goes on in this page; empty: it has grown enough
	Earlier string // of the page before; empty: here is the beginning
}

// from is the place in a list that is asked for.
func from(r *http.Request) int { return offset(r, "from") }

func offset(r *http.Request, name string) int {
	n, err := strconv.Atoi(r.FormValue(name))
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// goesOn tells how a list goes on of which shown of all are in an answer, at most
// limit at once.
func goesOn(r *http.Request, words string, shown, all, limit int) more {
	m, at := more{Words: words}, from(r)
	since := at // where the page begins
	if partial(r) {
		since = min(offset(r, "since"), at)
	} else if at > 0 {
		m.Earlier = listURL(r, max(0, at-grown*limit), -1)
	}
	next := at + shown
	if next >= all || shown == 0 {
		return m
	}
	m.URL = listURL(r, next, -1)
	if next-since < grown*limit {
		m.Piece = listURL(r, next, since)
	}
	return m
}

// listURL is the list of a request from another place on.
func listURL(r *http.Request, from, since int) string {
	q := url.Values{}
	for _, name := range []string{"by", "q"} {
		if v := r.FormValue(name); v != "" {
			q.Set(name, v)
		}
	}
	q.Set("from", strconv.Itoa(from))
	if since >= 0 {
		q.Set("since", strconv.Itoa(since))
	}
	return r.URL.Path + "?" + q.Encode()
}

// letters lead into a long list.
type letters struct {
	r    *http.Request
	List []catalog.Letter
}

func lettersOf(r *http.Request, list []catalog.Letter) letters {
	const alphabets = 60 // letters of all the world would be a page of their own
	return letters{r, list[:min(len(list), alphabets)]}
}

// At is where the list begins with a letter.
func (l letters) At(of catalog.Letter) string { return listURL(l.r, of.Offset, -1) }
