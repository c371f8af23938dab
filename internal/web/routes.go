package web

import (
	"net/http"
	"slices"
)

// route says who answers a pattern of [http.ServeMux], and to whom. What is not GET
// or HEAD needs the token of the session's forms, as the field csrf, and is refused
// where the page is for looking only.
type route struct {
	pattern string
	do      func(http.ResponseWriter, *http.Request) error

	title string // of a page in the navigation; empty: it is not there
	icon  string // of it, in templates/icons.html
	rank  rank   // of it

	open   bool // for those, too, who are not in
	door   bool // goes in or out, which changes nothing of the library
	setup  bool // there also where there is no home yet
	secret bool // shows keys: never on a page for looking only
}

// rank says where the navigation has a page.
type rank int

const (
	always rank = iota // in the bar
	roomy              // in the bar where a screen is wide, else behind "More"
	behind             // behind "More"
)

// routes is the table; the navigation is in its order.
func (s *Server) routes() []route {
	return slices.Concat([]route{
		{pattern: "GET /{$}", do: s.safe, title: "Safe?", icon: "safe"},
		{pattern: "GET /events", do: s.events},
		{pattern: "GET /trends", do: s.trends},
		{pattern: "POST /work", do: s.work},
		{pattern: "POST /decide", do: s.decide},

		{pattern: "GET /albums", do: s.albums, title: "Albums", icon: "albums"},
		{pattern: "GET /albums/{id}", do: s.album},
		{pattern: "GET /albums/{id}/zip", do: s.albumZip},
		{pattern: "GET /albums/{id}/back", do: s.albumBack},
		{pattern: "GET /artists/{id}/back", do: s.personBack},
		{pattern: "GET /artists", do: s.artists, title: "Artists", icon: "artists", rank: roomy},
		{pattern: "GET /artists/{id}", do: s.person},
		{pattern: "GET /composers", do: s.composers},
		{pattern: "GET /tracks", do: s.tracks},
		{pattern: "GET /tracks/{inode}", do: s.track},
		{pattern: "GET /tracks/{inode}/history", do: s.story},
		{pattern: "GET /search", do: s.search, title: "Search", icon: "search"},
		{pattern: "GET /media/{inode}", do: s.media},
		{pattern: "GET /art/{inode}", do: s.art},

		{pattern: "GET /time", do: s.calendar, title: "Time", icon: "time"},
		{pattern: "GET /time/{at}", do: s.night},
		{pattern: "GET /time/{at}/{path...}", do: s.then},
		{pattern: "GET /changes/{at}/{path...}", do: s.changed},
		{pattern: "GET /past/art/{at}/{path...}", do: s.pastArt},
		{pattern: "GET /past/media/{at}/{path...}", do: s.pastMedia},
		{pattern: "GET /zip/{at}/{path...}", do: s.zip},
		{pattern: "GET /restore/{at}/{path...}", do: s.askRestore},
		{pattern: "POST /restore/{at}/{path...}", do: s.restore},
		{pattern: "GET /restores/{id}", do: s.restoring},
		{pattern: "POST /restores/{id}", do: s.stopRestore},
		{pattern: "GET /undo/{at}/{path...}", do: s.askUndo},
		{pattern: "POST /undo/{at}/{path...}", do: s.undo},

		{pattern: "GET /health", do: s.health, title: "Health", icon: "health"},
		{pattern: "GET /health/files", do: s.healthFiles},
		{pattern: "GET /health/shares", do: s.healthPlot},
		{pattern: "GET /health/{kind}", do: s.taskPage},
		{pattern: "GET /health/{kind}/events", do: s.taskEvents},
		{pattern: "POST /health/{kind}/stop", do: s.stopTask},
		{pattern: "POST /health/check", do: s.check},
		{pattern: "POST /health/rehearse", do: s.rehearse},
		{pattern: "POST /health/foresee", do: s.foreseeRepair},
		{pattern: "POST /health/repair", do: s.repair},
		{pattern: "POST /health/verify", do: s.verify},
		{pattern: "GET /log", do: s.log, title: "Log", icon: "log", rank: behind},
		{pattern: "GET /log/export", do: s.exportLog},
		{pattern: "GET /devices", do: s.devices, title: "Devices", icon: "devices", rank: behind},
		{pattern: "GET /devices/{id}", do: s.askRetire},
		{pattern: "POST /devices/{id}", do: s.retire},
		{pattern: "GET /keys", do: s.keys},
		{pattern: "POST /keys", do: s.addKey},
		{pattern: "GET /keys/{name}", do: s.askRemoveKey},
		{pattern: "POST /keys/{name}", do: s.removeKey},
		{pattern: "POST /epochs", do: s.newEpoch},
		{pattern: "GET /kit", do: s.askKit, title: "Recovery kit", icon: "kit", rank: behind, secret: true},
		{pattern: "POST /kit", do: s.kit, secret: true},
		{pattern: "POST /kit/kept", do: s.keptKit, secret: true},

		{pattern: "GET /login", do: s.login, open: true, door: true},
		{pattern: "POST /login", do: s.enter, open: true, door: true},
		{pattern: "POST /logout", do: s.leave, setup: true, door: true},
	}, s.setupRoutes())
}
