package label

import "strings"

// Shops and rippers leave traces in a track. By them it is told which tracks
// can be ripped from a disc again and which are gone for good: those bought go
// first, those ripped last. The tables are short and strict; a track of which
// nothing is known is in between.

// boughtKeys are names of fields that a shop alone writes:
//
//	apID, purd, ownr  iTunes Store: account, date, owner (AtomicParsley's and mutagen's lists of atoms)
//	drms              FairPlay: the sample entry of a protected track
var boughtKeys = map[string]bool{"apID": true, "purd": true, "ownr": true, "drms": true}

// boughtMarks are what shops write into comments, addresses and private frames,
// in lower case:
//
//	amazon.com song id   comment of Amazon MP3
//	www.amazon.com       owner of its PRIV frame
//	google/storeid       owner of a PRIV frame of Google Play Music
//	.bandcamp.com        "Visit https://artist.bandcamp.com", comment of Bandcamp
//	the others           "Purchased at Beatport.com" and the like
var boughtMarks = []string{
	"amazon.com song id", "www.amazon.com", "google/storeid", ".bandcamp.com",
	"beatport.com", "qobuz.com", "7digital.com", "emusic.com", "hdtracks.com", "junodownload.com",
	"traxsource.com", "bleep.com", "boomkat.com", "prestomusic.com", "prostudiomasters.com", "magnatune.com",
}

// rippedKeys are names of fields that are known only of a disc, squashed:
//
//	iTunes_CDDB_*, CDDB*    Gracenote's ids, by iTunes and others
//	MCDI                    the table of contents (ID3v2.4 §4.4)
//	ACCURATERIP*            dBpoweramp, XLD, CUETools
//	MUSICBRAINZDISCID       Picard and others, after looking up a disc
//	DISCID, CUESHEET, LOG   freedb's id; what EAC, XLD and CUERipper embed
var rippedKeys = []string{
	"ITUNESCDDB", "CDDB", "MCDI", "ACCURATERIP", "MUSICBRAINZDISCID", "DISCID", "CUESHEET", "EACLOG", "LOGFILE",
}

// rippers are what rippers call themselves in encoder and comment fields, in
// lower case: EAC's comment is "Exact Audio Copy" or "EAC V1.0 ...".
var rippers = []string{
	"exact audio copy", "eac v", "eac (", "x lossless decoder", "xld ", "fre:ac", "dbpoweramp", "cuetools", "cueripper",
	"abcde", "whipper", "morituri", "cdparanoia", "ripped by", "ripped with", "cdex", "sound juicer", "grip ",
}

// mark looks at a field for traces.
func (f *file) mark(key, value string) {
	if boughtKeys[key] {
		f.bought = true
		return
	}
	name := squash(key)
	for _, k := range rippedKeys {
		if strings.HasPrefix(name, k) {
			f.ripped = true
		}
	}
	if len(value) > maxText || !tells[name] {
		return
	}
	v := strings.ToLower(value)
	f.bought = f.bought || containsAny(v, boughtMarks)
	f.ripped = f.ripped || containsAny(v, rippers)
}

// tells are the fields in which shops and rippers name themselves, squashed.
var tells = map[string]bool{
	"COMMENT": true, "COMMENTS": true, "DESCRIPTION": true, "ICMT": true, "ANNO": true, "PRIV": true,
	"URL": true, "WWW": true, "CONTACT": true, "COPYRIGHT": true, "TCOP": true, "PURCHASED": true,
	"ENCODER": true, "ENCODEDBY": true, "ENCODERSETTINGS": true, "TOOL": true, "TENC": true, "TSSE": true,
	"TEN": true, "TSS": true, "ISFT": true, "ITCH": true, "SOURCE": true, "RIPPINGTOOL": true, "WM/ENCODINGSETTINGS": true, "WM/TOOLNAME": true,
}

func containsAny(s string, words []string) bool {
	for _, w := range words {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}
