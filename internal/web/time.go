package web

import (
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tunesafe/tunesafe/internal/control"
)

// Days are those of this computer's clock.
const (
	dayForm   = time.DateOnly
	monthForm = "2006-01"
)

// changesOf counts what a moment changed: names alone, if it changed nothing else.
func changesOf(m control.Snapshot) int { return max(m.Added+m.Changed+m.Removed, m.Names) }

func dayOf(m control.Snapshot) string { return m.Time.Local().Format(dayForm) }

// calendarView is a month.
type calendarView struct {
	Month  time.Time
	Weeks  [][7]dayCell
	Older  string // months, as in the address; empty: none with changes
	Newer  string
	Months []monthLink
	Moments,
	Changes int
	Empty bool // nothing was ever backed up
	Gaps  []control.PastGap
}

// dayCell is a day in it.
type dayCell struct {
	Day     time.Time
	In      bool // it is of the month
	Moments int
	Changes int
	Weight  int // 0 to 4, of the changes
	Today   bool
}

// Key is the day in an address.
func (d dayCell) Key() string { return d.Day.Format(dayForm) }

type monthLink struct {
	Month time.Time
	Key   string
	Days  int
	Here  bool
}

// calendar shows a month, and on which nights of it something was changed.
func (s *Server) calendar(w http.ResponseWriter, r *http.Request) error {
	report, done, err := s.snapshots(w, r)
	if !done {
		return err
	}
	v := calendarView{Empty: len(report.Snapshots) == 0, Gaps: report.Gaps}
	now := time.Now()
	v.Month = now
	if n := len(report.Snapshots); n > 0 {
		v.Month = report.Snapshots[n-1].Time.Local()
	}
	if m, err := time.ParseInLocation(monthForm, r.FormValue("month"), time.Local); err == nil {
		v.Month = m
	}
	v.Month = time.Date(v.Month.Year(), v.Month.Month(), 1, 0, 0, 0, 0, time.Local)
	v.fill(report.Snapshots, now)
	return s.page(w, r, "calendar", "Time", v)
}

func (v *calendarView) fill(all []control.Snapshot, now time.Time) {
	days := map[string]*dayCell{}
	here := v.Month.Format(monthForm)
	for _, m := range all {
		key := dayOf(m)
		month := key[:len(monthForm)]
		switch {
		case month < here:
			v.Older = month
		case month > here && v.Newer == "":
			v.Newer = month
		}
		if n := len(v.Months); n == 0 || v.Months[n-1].Key != month {
			v.Months = append(v.Months, monthLink{Month: m.Time.Local(), Key: month, Here: month == here})
		}
		c := days[key]
		if c == nil {
			c = &dayCell{}
			days[key] = c
			v.Months[len(v.Months)-1].Days++
		}
		c.Moments++
		c.Changes += changesOf(m)
		if month == here {
			v.Moments++
			v.Changes += changesOf(m)
		}
	}
	slices.Reverse(v.Months)
	back := (int(v.Month.Weekday()) + 6) % 7 // weeks begin on Monday
	for d := v.Month.AddDate(0, 0, -back); d.Format(monthForm) <= here; {
		var week [7]dayCell
		for i := range week {
			c := dayCell{}
			if of := days[d.Format(dayForm)]; of != nil {
				c = *of
			}
			c.Day, c.In, c.Today = d, d.Format(monthForm) == here, d.Format(dayForm) == now.Format(dayForm)
			for n := c.Changes; n > 0; n /= 10 {
				c.Weight = min(c.Weight+1, 4)
			}
			week[i] = c
			d = d.AddDate(0, 0, 1)
		}
		v.Weeks = append(v.Weeks, week)
	}
}

// nights keeps what the nights changed that were looked at last: the parts of a page ask
// for them one by one.
type nights struct {
	mu   sync.Mutex
	last []*nightDiff
}

// nightsKept is how many are kept.
const nightsKept = 2

// nightDiff is what a night changed, without words; or one moment of it.
type nightDiff struct {
	day     string                  // or the name of a snapshot
	known   control.SnapshotsReport // of which it is one
	before  *control.Snapshot
	moments []control.Snapshot
	older   string
	newer   string

	turn    chan struct{} // holds a value while somebody asks for what follows
	asked   bool
	changes []control.DiffChange
	groups  []group
	gaps    []control.PastGap
}

// group is what a night changed in one folder, which is mostly an album.
type group struct {
	Folder string // its path
	Title  string
	Above  string
	URL    string // of its changes in words
	Then   string // of it after them

	Added, Changed, Removed, Moved int

	Art    string // a picture of after them, if there is one
	Before string // the path of it before
	list   []int  // places in changes
}

// nightOf gives what a day or a moment changed. Who wants one that somebody asks for
// already waits for that.
func (s *Server) nightOf(r *http.Request, day string, report control.SnapshotsReport) (*nightDiff, error) {
	n := s.nights.of(day, report)
	if len(n.moments) == 0 {
		return n, nil
	}
	select {
	case n.turn <- struct{}{}:
		defer func() { <-n.turn }()
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if n.asked {
		return n, nil
	}
	q := n.request()
	q.Brief = true
	diff, err := s.Owner.Diff(r.Context(), q, func(control.PastProgress) {})
	if err != nil {
		return nil, err
	}
	n.asked, n.changes, n.gaps = true, diff.Changes, diff.Gaps
	n.group()
	return n, nil
}

// of finds a night, or begins one that is kept if there is anything to ask about it.
func (k *nights) of(day string, report control.SnapshotsReport) *nightDiff {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, n := range k.last {
		if n.day == day && sameMoments(n.known, report) {
			return n
		}
	}
	n := newNight(day, report)
	if len(n.moments) > 0 {
		k.last = append([]*nightDiff{n}, k.last[:min(len(k.last), nightsKept-1)]...)
	}
	return n
}

// sameMoments tells whether the same is known of the past: a prune takes moments away,
// and each commit adds one.
func sameMoments(a, b control.SnapshotsReport) bool {
	return slices.EqualFunc(a.Snapshots, b.Snapshots, func(a, b control.Snapshot) bool {
		return a.Name == b.Name && a.Time.Equal(b.Time) && a.Device == b.Device
	}) && slices.EqualFunc(a.Gaps, b.Gaps, func(a, b control.PastGap) bool {
		return a.Device == b.Device && a.First == b.First && a.Last == b.Last
	})
}

// newNight finds the moments of a day, or the one of that name.
func newNight(day string, report control.SnapshotsReport) *nightDiff {
	n := &nightDiff{day: day, known: report, gaps: report.Gaps, turn: make(chan struct{}, 1)}
	for i, m := range report.Snapshots {
		key := m.Name
		if len(day) == len(dayForm) {
			key = dayOf(m)
		}
		switch {
		case key < day:
			n.before, n.older = &report.Snapshots[i], key
		case key == day:
			n.moments = append(n.moments, m)
		case n.newer == "":
			n.newer = key
		}
	}
	return n
}

// request asks what the night changed.
func (n *nightDiff) request() control.DiffRequest {
	q := control.DiffRequest{To: n.moments[len(n.moments)-1].Time}
	if n.before != nil {
		q.From = n.before.Time
	}
	return q
}

// after names the last moment of the night.
func (n *nightDiff) after() string { return n.moments[len(n.moments)-1].Name }

// group sorts the changes into folders.
func (n *nightDiff) group() {
	at := map[string]int{}
	for i, c := range n.changes {
		folder := string(c.Path)
		if !c.Dir {
			folder = path.Dir(folder)
		}
		g, ok := at[folder]
		if !ok {
			g = len(n.groups)
			at[folder] = g
			n.groups = append(n.groups, group{Folder: folder, Title: plain(path.Base(folder)), Above: plain(strings.TrimPrefix(path.Dir(folder), "/")),
				URL: address("changes", n.day, folder), Then: address("time", n.after(), folder)})
			if folder == "/" {
				n.groups[g].Title = "The top of the drive"
			}
		}
		n.groups[g].add(i, &c)
	}
	slices.SortFunc(n.groups, func(a, b group) int { return strings.Compare(a.Folder, b.Folder) })
}

func (g *group) add(i int, c *control.DiffChange) {
	g.list = append(g.list, i)
	if c.Dir && c.Was == nil {
		return
	}
	switch {
	case c.What == control.DiffAdded:
		g.Added++
	case c.What == control.DiffRemoved:
		g.Removed++
	case c.Was != nil:
		g.Moved++
	default:
		g.Changed++
	}
}

// nightView is a night, or one moment of it.
type nightView struct {
	Day     time.Time
	One     bool   // moment
	Key     string // of the address
	Title   string
	Moments []control.Snapshot
	Before  string // the moment before it, for the undoing
	After   string
	Older   string // days or moments with changes
	Newer   string
	Groups  []group
	All     int
	From    int
	Next    int
	Total   group // of all
	Gaps    []control.PastGap
}

const groupsShown = 40 // at once

// night shows what was changed on a day, folder by folder.
func (s *Server) night(w http.ResponseWriter, r *http.Request) error {
	at := r.PathValue("at")
	v := nightView{Key: at}
	var err error
	if v.Day, err = time.ParseInLocation(dayForm, at, time.Local); err == nil {
		v.Title = v.Day.Format("Monday 2 January 2006")
	} else if _, v.Day, err = momentOf(r); err == nil && !v.Day.IsZero() {
		v.One, v.Title = true, v.Day.Local().Format("2 January 2006, 15:04:05")
	} else {
		return s.lost(w, r, errNotFound)
	}
	v.Day = v.Day.Local()
	report, done, err := s.snapshots(w, r)
	if !done {
		return err
	}
	n, err := s.nightOf(r, at, report)
	if err != nil {
		return err
	}
	v.Moments, v.Older, v.Newer, v.All, v.Gaps = n.moments, n.older, n.newer, len(n.groups), n.gaps
	if n.before != nil {
		v.Before = n.before.Name
	}
	if len(n.moments) > 0 {
		v.After = n.after()
	}
	for _, g := range n.groups {
		v.Total.Added, v.Total.Changed = v.Total.Added+g.Added, v.Total.Changed+g.Changed
		v.Total.Removed, v.Total.Moved = v.Total.Removed+g.Removed, v.Total.Moved+g.Moved
	}
	v.From = min(from(r), len(n.groups))
	to := min(len(n.groups), v.From+groupsShown)
	v.Groups = n.groups[v.From:to]
	if to < len(n.groups) {
		v.Next = to
	}
	return s.page(w, r, "night", v.Title, v)
}

// changedView is what a night changed in a folder, in words and pictures.
type changedView struct {
	group
	Day      string
	Rows     []changeRow
	More     int // that are not shown
	ArtThen  string
	ArtAfter string
}

// changeRow is a thing that was changed.
type changeRow struct {
	What    string
	Name    string
	Was     string
	Changes []string
	URL     string // of it, where it is or was last
	Undo    string
}

const (
	wordsShown  = 100 // of a folder: the tags of each may have to be fetched
	changesMost = 400
)

// changed tells what a night changed in one folder.
func (s *Server) changed(w http.ResponseWriter, r *http.Request) error {
	report, done, err := s.snapshots(w, r)
	if !done {
		return err
	}
	n, err := s.nightOf(r, r.PathValue("at"), report)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(n.groups, func(g group) bool { return g.Folder == pathOf(r) })
	if i < 0 {
		return s.lost(w, r, errNotFound)
	}
	v := changedView{group: n.groups[i], Day: n.day}
	words, err := s.words(r, n, v.list)
	if err != nil {
		return err
	}
	for _, j := range v.list[:min(len(v.list), changesMost)] {
		v.tell(n, &n.changes[j], words[string(n.changes[j].Path)])
	}
	v.More = len(v.list) - len(v.Rows)
	if r.Header.Get("Hx-Request") == "" {
		return s.page(w, r, "changed", v.Title, v)
	}
	return s.fragment(w, r, "changed", "list", v)
}

// words asks what became of the files that were changed, by path.
func (s *Server) words(r *http.Request, n *nightDiff, list []int) (map[string][]string, error) {
	q := n.request()
	for _, j := range list {
		c := &n.changes[j]
		if c.What != control.DiffChanged || c.Dir || len(q.Paths) > 2*wordsShown {
			continue
		}
		q.Paths = append(q.Paths, c.Path)
		if c.Was != nil {
			q.Paths = append(q.Paths, c.Was)
		}
	}
	words := map[string][]string{}
	if len(q.Paths) == 0 {
		return words, nil
	}
	diff, err := s.Owner.Diff(r.Context(), q, func(control.PastProgress) {})
	for _, c := range diff.Changes {
		words[string(c.Path)] = c.Changes
	}
	return words, err
}

func (v *changedView) tell(n *nightDiff, c *control.DiffChange, words []string) {
	row := changeRow{What: c.What, Name: plain(path.Base(string(c.Path))), Changes: words, URL: address("time", n.after(), string(c.Path))}
	if c.Dir {
		row.Name += "/"
	}
	before := string(c.Path)
	if c.Was != nil {
		row.Was, before = plain(string(c.Was)), string(c.Was)
	}
	if n.before != nil {
		row.Undo = address("undo", n.before.Name, string(c.Path))
		if c.What == control.DiffRemoved {
			row.URL = address("time", n.before.Name, before)
		}
	}
	if v.ArtAfter == "" && v.ArtThen == "" {
		for _, word := range words {
			if !strings.HasPrefix(word, "artwork ") {
				continue
			}
			if n.before != nil && word != "artwork added" {
				v.ArtThen = address("past/art", n.before.Name, before)
			}
			if word != "artwork removed" {
				v.ArtAfter = address("past/art", n.after(), string(c.Path))
			}
		}
	}
	v.Rows = append(v.Rows, row)
}
