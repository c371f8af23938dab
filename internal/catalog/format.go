package catalog

import (
	"path"
	"slices"
	"strings"
)

// format numbers a format; the two hundredth and what comes behind are one.
func (c *Catalog) format(f string) uint8 {
	i := slices.Index(c.formats, f)
	if i < 0 {
		i = min(len(c.formats), 200)
		if i == len(c.formats) {
			c.formats = append(c.formats, strings.Clone(f))
		}
	}
	return uint8(i)
}

// extensions name the format of a file that nobody has looked into yet.
var extensions = map[string]string{
	".mp3": "MP3", ".aac": "AAC", ".m4a": "AAC", ".m4b": "AAC", ".m4p": "AAC", ".flac": "FLAC", ".ogg": "Vorbis", ".oga": "Vorbis",
	".opus": "Opus", ".spx": "Speex", ".wav": "WAV", ".aif": "AIFF", ".aiff": "AIFF", ".wma": "WMA", ".mka": "Matroska", ".webm": "WebM",
	".wv": "WavPack", ".ape": "Monkey's Audio", ".mpc": "Musepack", ".tta": "TTA", ".tak": "TAK", ".ofr": "OptimFROG",
	".dsf": "DSD", ".dff": "DSD", ".caf": "CAF",
}

// FormatOf tells the format of a file from its name; empty if it is no music.
func FormatOf(file string) string { return extensions[strings.ToLower(path.Ext(file))] }
