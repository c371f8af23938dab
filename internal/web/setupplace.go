package web

import (
	"net/http"
	"slices"
	"strings"
)

// placesView is who can be chosen.
type placesView struct {
	Suppliers []Supplier
	Chosen    string
}

func (s *Server) placesOf(c *setting) placesView {
	return placesView{s.Setup.Suppliers(), c.Place.Supplier}
}

// choosePlace takes a supplier. Another makes the fields of the one before void.
func (s *Server) choosePlace(w http.ResponseWriter, r *http.Request, c *setting) error {
	id := r.PostFormValue("supplier")
	known := slices.ContainsFunc(s.Setup.Suppliers(), func(p Supplier) bool { return p.ID == id })
	if !known && id != OwnServer && id != ThisDisk {
		return &Mistake{Text: "Choose where the backup is to go."}
	}
	if id != c.Place.Supplier {
		c.Place = Place{Supplier: id}
		c.forget()
	}
	http.Redirect(w, r, atKeys, http.StatusSeeOther)
	return nil
}

// forget drops what was found at a place that is another now. The recovery key stays:
// it has opened nothing yet.
func (c *setting) forget() { c.tried, c.opened, c.Key, c.cost = nil, false, "", nil }

// keysView is what a supplier needs. Of the keys it tells only that they are there.
type keysView struct {
	Supplier
	Place        Place
	Own, Disk    bool
	Kept         bool // keys were given
	Tried        *Tried
	DefaultStore string
}

func (s *Server) keysOf(c *setting) keysView {
	v := keysView{Place: c.Place, Own: c.Place.Supplier == OwnServer, Disk: c.Place.Supplier == ThisDisk, Kept: c.Place.Secret != "", Tried: c.tried}
	for _, p := range s.Setup.Suppliers() {
		if p.ID == c.Place.Supplier {
			v.Supplier = p
		}
	}
	v.Place.Access, v.Place.Secret = "", "" // templates have no way to them
	if v.Place.Region == "" && len(v.Regions) > 0 {
		v.Place.Region = v.Regions[0]
	}
	return v
}

// tryPlace takes the fields, and has the place tried.
func (s *Server) tryPlace(w http.ResponseWriter, r *http.Request, c *setting) error {
	field := func(name string) string { return strings.TrimSpace(r.PostFormValue(name)) }
	p := Place{
		Supplier: c.Place.Supplier, Endpoint: field("endpoint"), Account: field("account"), Region: field("region"),
		Bucket: field("bucket"), Prefix: strings.Trim(field("prefix"), "/"), Dir: field("dir"), Make: r.PostFormValue("make") != "",
		Access: field("access"), Secret: field("secret"),
	}
	if p.Access == "" {
		p.Access = c.Place.Access
	}
	if p.Secret == "" {
		p.Secret = c.Place.Secret
	}
	c.Place = p
	c.forget()
	found, err := s.Setup.Try(r.Context(), p)
	if err != nil {
		return err
	}
	c.tried = &found
	at := atCost
	if found.Backup {
		at = atOpen
	}
	http.Redirect(w, r, at, http.StatusSeeOther)
	return nil
}

// openBackup opens the backup that is there.
func (s *Server) openBackup(w http.ResponseWriter, r *http.Request, c *setting) error {
	key := strings.TrimSpace(r.PostFormValue("key"))
	if key == "" {
		return &Mistake{Field: "key", Text: "The recovery key or the passphrase is missing."}
	}
	if err := s.Setup.Unlock(r.Context(), c.Place, key); err != nil {
		return err
	}
	c.Key, c.opened = key, true
	http.Redirect(w, r, atCost, http.StatusSeeOther)
	return nil
}
