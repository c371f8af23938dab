package web

import (
	"encoding/json"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/tunesafe/tunesafe/internal/api"
	"github.com/tunesafe/tunesafe/internal/control"
)

// operations says for each route of the page which operation of the interface does the
// same for programs, or, behind a dash, why none does.
var operations = map[string]string{
	"GET /{$}":                       "status",
	"GET /events":                    "events",
	"GET /trends":                    "trends",
	"POST /work":                     "work",
	"POST /decide":                   "decide",
	"GET /albums":                    "albums",
	"GET /albums/{id}":               "album",
	"GET /albums/{id}/zip":           "album-zip",
	"GET /albums/{id}/back":          "history",
	"GET /artists/{id}/back":         "history",
	"GET /artists":                   "artists",
	"GET /artists/{id}":              "artist",
	"GET /composers":                 "composers",
	"GET /tracks":                    "tracks",
	"GET /tracks/{inode}":            "track",
	"GET /tracks/{inode}/history":    "history",
	"GET /search":                    "search",
	"GET /media/{inode}":             "download",
	"GET /art/{inode}":               "art",
	"GET /time":                      "snapshots",
	"GET /time/{at}":                 "diff",
	"GET /time/{at}/{path...}":       "zip", // what lay there; diff names it
	"GET /changes/{at}/{path...}":    "diff",
	"GET /past/art/{at}/{path...}":   "past-art",
	"GET /past/media/{at}/{path...}": "download",
	"GET /zip/{at}/{path...}":        "zip",
	"GET /restore/{at}/{path...}":    "- it is the form of the operation restore",
	"POST /restore/{at}/{path...}":   "restore",
	"GET /restores/{id}":             "task",
	"POST /restores/{id}":            "cancel",
	"GET /undo/{at}/{path...}":       "undo",
	"POST /undo/{at}/{path...}":      "undo",
	"GET /health":                    "status",
	"GET /health/files":              "health",
	"GET /health/shares":             "trends",
	"GET /health/{kind}":             "tasks",
	"GET /health/{kind}/events":      "events",
	"POST /health/{kind}/stop":       "cancel",
	"POST /health/check":             "check",
	"POST /health/rehearse":          "rehearse",
	"POST /health/foresee":           "repair",
	"POST /health/repair":            "repair",
	"POST /health/verify":            "check",
	"GET /log":                       "log",
	"GET /log/export":                "export-log",
	"GET /devices":                   "devices",
	"GET /devices/{id}":              "devices",
	"POST /devices/{id}":             "retire",
	"GET /keys":                      "keys",
	"POST /keys":                     "add-key",
	"GET /keys/{name}":               "keys",
	"POST /keys/{name}":              "remove-key",
	"POST /epochs":                   "new-epoch",
	"GET /kit":                       secretly,
	"POST /kit":                      secretly,
	"POST /kit/kept":                 "- a person says so, who put the page away",
	"GET /login":                     byToken,
	"POST /login":                    byToken,
	"POST /logout":                   byToken,
}

const (
	secretly = "- the recovery key is given out to nobody but who sits at the page: a token that leaked would be the whole backup"
	byToken  = "- a program has a token, and no session"
	noHome   = "- there is no home yet, and so no token"
	locally  = "- it is for who sits at the machine: a token reaches the drive, and not what is mounted or served there"
)

// calls says the same of what the command line asks an owner for.
var calls = map[string]string{
	"Status": "status", "Wait": "wait", "Restore": "restore", "List": "list", "Check": "check", "Log": "log", "ExportLog": "export-log",
	"Picture": "picture", "Backup": "backup", "Detach": "detach", "Decide": "decide", "Work": "work", "Snapshots": "snapshots", "History": "history",
	"Diff": "diff", "Undo": "undo", "Health": "health", "Rehearse": "rehearse", "Prune": "prune", "Repair": "repair", "Trends": "trends", "Pin": "pins pin unpin",
	"Mount": locally, "Unmount": locally, "Web": locally,
	"Devices": "devices", "Retire": "retire", "NewEpoch": "new-epoch", "Keys": "keys", "AddKey": "add-key", "RemoveKey": "remove-key",
	"Settings": "settings", "SetSettings": "set-settings",
}

// TestProgramsDoAll: what the page and the command line do, programs do, too, or it is
// said why not.
func TestProgramsDoAll(t *testing.T) {
	s, _ := serve(t, Options{Version: "test", API: &api.Options{Version: "test"}})
	w := httptest.NewRecorder()
	api.New(api.Options{Contents: programs{s}, Version: "test"}).ServeHTTP(w, httptest.NewRequest("GET", "/openapi.json", nil))
	var d struct {
		Paths map[string]map[string]struct{ OperationID string }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	offered := map[string]bool{}
	for _, methods := range d.Paths {
		for _, op := range methods {
			offered[op.OperationID] = false
		}
	}
	see := func(what, by string, known bool) {
		t.Helper()
		if !known {
			t.Errorf("%s: no operation does the same for programs, and nobody says why", what)
		}
		if strings.HasPrefix(by, "- ") {
			return
		}
		for _, id := range strings.Fields(by) {
			if _, there := offered[id]; !there {
				t.Errorf("%s: there is no operation %s", what, id)
			}
			offered[id] = true
		}
	}
	there := map[string]bool{}
	for _, r := range s.routes() {
		by, known := operations[r.pattern]
		if r.setup && !r.door {
			by, known = noHome, true
		}
		there[r.pattern] = true
		see(r.pattern, by, known)
	}
	for pattern := range operations {
		if !there[pattern] {
			t.Errorf("the page has no %s", pattern)
		}
	}
	for _, of := range []reflect.Type{reflect.TypeFor[control.Owner](), reflect.TypeFor[control.Keeping](), reflect.TypeFor[api.Settings]()} {
		for i := range of.NumMethod() {
			name := of.Method(i).Name
			by, known := calls[name]
			see(name, by, known)
			there[name] = true
		}
	}
	for name := range calls {
		if !there[name] {
			t.Errorf("nobody is asked for %s", name)
		}
	}
	more := map[string]bool{"upload": true, "cancel": true} // a mounted drive does it for people
	for id, done := range offered {
		if !done && !more[id] {
			t.Errorf("%s does what neither page nor command does", id)
		}
	}
}
