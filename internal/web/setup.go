package web

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Setup makes a home of what a person chose, as the commands do: init, estimate,
// recovery-kit, backup and install. What a person can put right is a [*Mistake].
type Setup interface {
	// Found lists folders of this machine that hold music.
	Found(ctx context.Context) []MusicFolder
	// Folder understands what was typed, and refuses what is no folder to back up.
	Folder(typed string) (MusicFolder, error)
	// Count goes through a folder and tells how far it is.
	Count(ctx context.Context, dir string, told func(Count))
	Suppliers() []Supplier
	// Try writes an object, reads it and removes it, and tells what is there.
	Try(ctx context.Context, p Place) (Tried, error)
	// Unlock tells whether a recovery key or passphrase opens the backup that is there.
	Unlock(ctx context.Context, p Place, key string) error
	// Estimate says what a backup of folders costs, by names and sizes.
	Estimate(ctx context.Context, dirs []string, p Place) (Estimate, error)
	// Kit makes the recovery key, or takes up the one that an earlier set-up made, and
	// keeps it in the home with what was chosen.
	Kit(ctx context.Context, c Choices) (Kit, error)
	Offers(ctx context.Context) Offers
	// Begin makes the home and has the backup begin. It returns when that is under way,
	// and may be called again after an error.
	Begin(ctx context.Context, c Choices) error
	// Earlier is what an earlier set-up had come to before it was cut short.
	Earlier() Choices
}

// Mistake is something a person can put right.
type Mistake struct {
	Field string // of the form; empty: none alone
	Text  string
	Hint  string
}

// Error implements error.
func (m *Mistake) Error() string { return m.Text }

// MusicFolder is a folder with music.
type MusicFolder struct {
	Path string
	Note string // what is known of it: an iTunes library, a removable disk
}

// Count is how far the counting of a folder is.
type Count struct {
	Tracks, Bytes int64
	Done          bool
	More          bool // the counting stopped before the end
}

// Supplier is somebody who has stores.
type Supplier struct {
	ID, Name string
	Account  string // what the supplier calls what is needed beside the keys; may be empty
	Regions  []string
	Keys     []string // how to get keys, step by step
	Rights   string
	Source   string
	Date     time.Time
}

// The suppliers that are none.
const (
	OwnServer = "own"
	ThisDisk  = "disk"
)

// Place is where the backup goes. The secrets in it are shown on no page.
type Place struct {
	Supplier string
	Endpoint string
	Account  string
	Region   string
	Bucket   string
	Prefix   string
	Dir      string // on this disk
	Make     bool   // the bucket, if there is none

	Access string `json:"-"`
	Secret string `json:"-"`
}

// Tried is what a place was found to be.
type Tried struct {
	Where  string   // in words
	Backup bool     // there is one already
	Made   bool     // the bucket
	Notes  []string // sentences: what the person should know of it
}

// Estimate is what a backup costs.
type Estimate struct {
	Files, Bytes, Send, Labour int64
	Unread                     int
	Costs                      []Cost
}

// Cost is that with one class of a supplier.
type Cost struct {
	Supplier, Class, Currency string
	Upload, Month, Restore    float64
	Date                      time.Time
	Source, Note              string
	Chosen                    bool
}

// Kit is what to put in a drawer.
type Kit struct {
	Key  string
	File string // where the home keeps it
	Page []byte // HTML, to print
}

// Offers is what this machine can do beside.
type Offers struct {
	Login, LoginWhy string // how; or why not
	Drive, DriveWhy string // a folder for it; or why not
	Home            string
}

// Choices are what a person chose. They are kept in the home from the recovery kit
// on, without secrets, until the backup has begun.
type Choices struct {
	Folders  []string
	Place    Place
	Key      string `json:"-"` // opens the backup that is there; empty: a new one is made
	TakeOver bool   // the folders are what that backup has under their names
	Login    bool   // begin at each login
	Drive    string // the folder to show the drive at; empty: none
}

// setting is the one set-up of a process: there is one home to be made, whichever
// browser asks for it. Nothing of it is written but by [Setup].
type setting struct {
	mu sync.Mutex
	Choices
	looked  bool // for folders
	found   []MusicFolder
	tried   *Tried // nil: the place is not known to be good
	opened  bool   // the backup that is there
	cost    *Estimate
	costOf  string // what it was made of
	kit     *Kit
	saved   bool // a person has the key
	began   bool
	problem error // of the last attempt to begin
}

// setupView is what each step shows.
type setupView struct {
	Steps   []setupStep
	Problem *Mistake
	Data    any
}

type setupStep struct {
	Path, Name string
	Here, Done bool
}

// Of gives the mistake with a field; nil if it has none.
func (v setupView) Of(field string) *Mistake {
	if v.Problem != nil && v.Problem.Field == field {
		return v.Problem
	}
	return nil
}

// The steps, in their order.
const (
	atMusic = "/setup"
	atPlace = "/setup/place"
	atKeys  = "/setup/keys"
	atOpen  = "/setup/open"
	atCost  = "/setup/cost"
	atKit   = "/setup/kit"
	atBegin = "/setup/begin"
	atWait  = "/setup/wait"
)

// first is the first step that lacks something.
func (c *setting) first() string {
	switch {
	case c.began:
		return atWait
	case len(c.Folders) == 0:
		return atMusic
	case c.Place.Supplier == "":
		return atPlace
	case c.tried == nil:
		return atKeys
	case c.tried.Backup && !c.opened:
		return atOpen
	case !c.tried.Backup && !c.saved:
		return atKit
	}
	return atBegin
}

// may tells whether a step can be shown: all before it have what they need.
func (c *setting) may(at string) bool {
	order := []string{atMusic, atPlace, atKeys, atOpen, atCost, atKit, atBegin, atWait}
	rank := func(p string) int {
		for i, o := range order {
			if o == p {
				return i
			}
		}
		return -1
	}
	switch {
	case c.began:
		return at == atWait
	case at == atOpen:
		return c.tried != nil && c.tried.Backup
	case at == atKit:
		return c.tried != nil && !c.tried.Backup
	case at == atWait:
		return false
	}
	return rank(at) <= rank(c.first())
}

func (c *setting) steps(at string) []setupStep {
	list := []setupStep{{Path: atMusic, Name: "Music"}, {Path: atPlace, Name: "Place"}, {Path: atKeys, Name: "Access"}}
	if c.tried != nil && c.tried.Backup {
		list = append(list, setupStep{Path: atOpen, Name: "Open"}, setupStep{Path: atCost, Name: "Cost"})
	} else {
		list = append(list, setupStep{Path: atCost, Name: "Cost"}, setupStep{Path: atKit, Name: "Recovery"})
	}
	list = append(list, setupStep{Path: atBegin, Name: "Begin"})
	here := len(list)
	for i := range list {
		if list[i].Here = list[i].Path == at; list[i].Here {
			here = i
		}
		list[i].Done = i < here && c.may(list[i].Path)
	}
	return list
}

// step wraps what answers a step of the set-up. One is answered at a time.
func (s *Server) step(at string, do func(http.ResponseWriter, *http.Request, *setting) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		if s.Owner != nil || s.Setup == nil {
			http.Redirect(w, r, "/", http.StatusSeeOther)
			return nil
		}
		c := &s.setting
		c.mu.Lock()
		defer c.mu.Unlock()
		s.prepare(c)
		if !c.may(at) {
			http.Redirect(w, r, c.first(), http.StatusSeeOther)
			return nil
		}
		if !changes(r) {
			return do(w, r, c)
		}
		err := do(w, r, c)
		if m, ok := errors.AsType[*Mistake](err); ok {
			return s.showStep(w, r, c, at, m)
		}
		return err
	}
}

// prepare begins with what an earlier set-up left.
func (s *Server) prepare(c *setting) {
	if c.looked {
		return
	}
	c.looked = true
	c.Choices = s.Setup.Earlier()
	c.found = s.Setup.Found(s.closing)
	for _, dir := range c.Folders {
		c.add(MusicFolder{Path: dir})
	}
	for _, f := range c.found {
		s.counts.begin(s.closing, s.Setup, f.Path)
	}
}

// add puts a folder on the list.
func (c *setting) add(f MusicFolder) {
	for _, have := range c.found {
		if have.Path == f.Path {
			return
		}
	}
	c.found = append(c.found, f)
}

// showStep answers with a step, and with what is wrong with what was sent.
func (s *Server) showStep(w http.ResponseWriter, r *http.Request, c *setting, at string, m *Mistake) error {
	var data any
	title := ""
	switch at {
	case atMusic:
		title, data = "Which music?", s.musicOf(c)
	case atPlace:
		title, data = "Where to?", s.placesOf(c)
	case atKeys:
		title, data = "Access", s.keysOf(c)
	case atOpen:
		title, data = "A backup is there", c.tried
	case atCost:
		title, data = "Cost", s.costView(c, r)
	case atKit:
		title, data = "Recovery kit", c.kit
	case atBegin:
		title, data = "Begin", s.beginOf(c, r)
	case atWait:
		title = "Setting up"
	}
	if at == atBegin && m == nil && c.problem != nil {
		m = s.mistake(c.problem)
	}
	status := http.StatusOK
	if m != nil {
		status, title = http.StatusUnprocessableEntity, "Not yet: "+title
	}
	v := setupView{Steps: c.steps(at), Problem: m, Data: data}
	name := "setup"
	if at != atMusic {
		name += "-" + strings.TrimPrefix(at, "/setup/")
	}
	s.write(w, r, status, name, title, v)
	return nil
}

// show answers with a step as it is.
func (s *Server) show(at string) func(http.ResponseWriter, *http.Request) error {
	return s.step(at, func(w http.ResponseWriter, r *http.Request, c *setting) error {
		return s.showStep(w, r, c, at, nil)
	})
}

// setupRoutes are those of the set-up.
func (s *Server) setupRoutes() (list []route) {
	for _, p := range []struct {
		at string
		do func(http.ResponseWriter, *http.Request, *setting) error
	}{{atMusic, s.chooseMusic}, {atPlace, s.choosePlace}, {atKeys, s.tryPlace}, {atOpen, s.openBackup}, {atCost, nil}, {atBegin, s.beginBackup}} {
		list = append(list, route{pattern: "GET " + p.at, do: s.show(p.at), setup: true})
		if p.do != nil {
			list = append(list, route{pattern: "POST " + p.at, do: s.step(p.at, p.do), setup: true})
		}
	}
	return append(list,
		route{pattern: "GET " + atKit, do: s.step(atKit, s.showKit), setup: true, secret: true},
		route{pattern: "POST " + atKit, do: s.step(atKit, s.haveKit), setup: true, secret: true},
		route{pattern: "GET " + atKit + "/page", do: s.step(atKit, s.kitPage), setup: true, secret: true},
		route{pattern: "GET " + atWait, do: s.step(atWait, s.wait), setup: true},
		route{pattern: "GET /setup/count", do: s.countOf, setup: true},
	)
}

// mistake makes what went wrong one that a form can show.
func (s *Server) mistake(err error) *Mistake {
	if m, ok := errors.AsType[*Mistake](err); ok {
		return m
	}
	f := s.explain(err)
	return &Mistake{Text: capital(f.Text) + ".", Hint: f.Hint}
}
