package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/tunesafe/tunesafe/internal/home"
	"github.com/tunesafe/tunesafe/internal/itunes"
)

// A library is read when its folder is backed up; what it said then is kept in
// the home, for the picture. It is no more than that: a home without it shows
// none, until the next backup.

// seenLibrary is what was found out about a library file of a place.
type seenLibrary struct {
	Path   string            `json:"path"` // in the place
	Size   int64             `json:"size"`
	Mtime  time.Time         `json:"mtime"`
	Survey itunes.Survey     `json:"survey"`
	Lists  map[string]string `json:"lists"` // playlists on the drive, with the hash of each
}

// seenLibraries are those of the places, by name of the place.
type seenLibraries map[string][]seenLibrary

// readLibraries returns what is known; nothing if the file is not there or not
// as it was written.
func readLibraries(h home.Home) seenLibraries {
	s := seenLibraries{}
	b, err := os.ReadFile(h.LibrariesFile())
	if err != nil || json.Unmarshal(b, &s) != nil {
		return seenLibraries{}
	}
	return s
}

// write keeps it for the next time.
func (s seenLibraries) write(h home.Home) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	name := h.LibrariesFile()
	if err := os.WriteFile(name+".new", b, 0o600); err != nil {
		return err
	}
	err = os.Rename(name+".new", name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the home is gone
	}
	return err
}
