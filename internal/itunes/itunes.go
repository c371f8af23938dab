// Package itunes reads the library files of iTunes and Music: which tracks there
// are and where, how they were rated and how often played, and the playlists.
//
// What is in them is labour that is nowhere else: no tag holds a rating or a play
// count. So they are backed up first, whole, and never as they were caught half
// written ([Whole]).
//
// # The files
//
//	iTunes Library.xml, iTunes Music Library.xml, Library.xml   property list, read
//	iTunes Library.itl, Music Library.musicdb                   opaque, known by name
//
// A property list is one dictionary: Tracks, a dictionary of dictionaries by
// number, then Playlists, an array. [Read] hands them on one by one, so that a
// library of a hundred thousand tracks, 150 MB of XML, takes a few megabytes of
// memory. That is why no plist library reads it: those there are build the whole
// tree, and give none of it back when one track is malformed. The tokens are
// encoding/xml's.
//
// What is malformed is passed over, and said: a library of fifteen years has seen
// several programs, and half of one is worth more than none.
package itunes

import (
	"path"
	"strings"
	"time"
)

// Track is a track as the library has it.
type Track struct {
	ID           int
	PersistentID string
	Name         string
	Artist       string
	Album        string
	Location     string // a URL; empty if the library has no file of it
	Seconds      int
	Rating       int // 0 to 100; only what a person gave
	Plays        int
	LastPlayed   time.Time
	Added        time.Time
	Purchased    bool
}

// Playlist is a list of tracks, in its order. A smart one is the list that its
// rules last made.
type Playlist struct {
	Name         string
	PersistentID string
	Parent       string // persistent id of the folder that it is in
	Folder       bool   // holds playlists, not tracks
	Smart        bool
	BuiltIn      bool  // made by the program: the library itself, films, podcasts
	Items        []int // track ids
}

// Library is what a library file says of itself.
type Library struct {
	Application string // its version
	MusicFolder string // a URL
}

// IsLibrary tells by its name whether a file holds a library of iTunes or Music.
func IsLibrary(name string) bool { return IsXML(name) || isOpaque(name) }

// IsXML tells by its name whether a file is a library that can be read.
func IsXML(name string) bool {
	switch strings.ToLower(path.Base(name)) {
	case "itunes library.xml", "itunes music library.xml", "library.xml":
		return true
	}
	return false
}

// isOpaque knows the databases: iTunes's, and those in Music's library package.
func isOpaque(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".itl", ".musicdb":
		return true
	}
	return false
}
