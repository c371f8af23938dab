package tools

import (
	"math"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// RetagOptions say which tracks [Retag] edits, with what, and how.
type RetagOptions struct {
	// Tool is one of
	//   - "mutagen", the default: what Picard, beets and Quod Libet use; it
	//     edits in place and moves the sound when the tag outgrows its padding;
	//   - "rewrite": mutagen on a copy, then a rename over the file;
	//   - "kid3": kid3-cli, TagLib, in place;
	//   - "eyeD3": MP3 only;
	//   - "ffmpeg": a new file, renamed over the old one; MP3, M4A and FLAC
	//     only, because it loses the cover in the others.
	Tool string

	From  string // edit only tracks of this artist; empty for all
	To    string // the new artist and album artist
	Match string // edit only paths, relative to the root, that match: '*' is any text, '?' a character
	Limit int    // edit so many at most; 0 for all

	Except []string // paths, relative to the root, that are left alone
}

// Retag sets the artist of tracks below root with a real tagger and returns
// the paths of those it edited, in order, relative to root. A tagger that fails
// fails the test.
func Retag(t testing.TB, root string, o RetagOptions) []string {
	t.Helper()
	limit := o.Limit
	if limit == 0 {
		limit = math.MaxInt
	}
	files := slices.DeleteFunc(Tracks(t, root), func(p string) bool {
		return !matches(o.Match, p) || slices.Contains(o.Except, p)
	})
	if o.Tool == "" || o.Tool == "mutagen" || o.Tool == "rewrite" {
		var edited []string
		runTags(t, "retag", map[string]any{"root": root, "files": files, "from": o.From, "to": o.To,
			"limit": limit, "copy": o.Tool == "rewrite"}, &edited)
		return edited
	}
	tg, ok := taggers[o.Tool]
	if !ok {
		t.Fatalf("no tagger %q", o.Tool)
	}
	program := Need(t, tg.program)[0]
	if len(tg.exts) > 0 {
		files = slices.DeleteFunc(files, func(p string) bool { return !slices.Contains(tg.exts, path.Ext(p)) })
	}
	if o.From != "" {
		tags := scanFiles(t, root, files)
		files = slices.DeleteFunc(files, func(p string) bool { return tags[p].Artist != o.From })
	}
	files = files[:min(limit, len(files))]
	for _, f := range files {
		tg.edit(t, program, filepath.Join(root, f), o.To)
	}
	return files
}

// RetagEach gives tracks below root an artist each, by their path relative to root, in
// place with mutagen.
func RetagEach(t testing.TB, root string, to map[string]string) {
	t.Helper()
	var none any
	runTags(t, "each", map[string]any{"root": root, "to": to}, &none)
}

// matches is like [path.Match], but a star also matches slashes.
func matches(pattern, name string) bool {
	if pattern == "" {
		return true
	}
	re := regexp.QuoteMeta(pattern)
	re = strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(re)
	return regexp.MustCompile(`(?s)^` + re + `$`).MatchString(name)
}

// tagger is a program that edits one file.
type tagger struct {
	program string
	exts    []string // it is used for these only; nil for all
	edit    func(t testing.TB, program, file, artist string)
}

var taggers = map[string]tagger{
	"kid3":   {"kid3-cli", nil, kid3},
	"eyeD3":  {"eyeD3", []string{".mp3"}, eyeD3},
	"ffmpeg": {"ffmpeg", []string{".mp3", ".m4a", ".flac"}, ffmpeg},
}

func kid3(t testing.TB, program, file, artist string) {
	t.Helper()
	quoted := "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(artist) + "'"
	command(t, program, "-c", "set artist "+quoted, "-c", "set albumartist "+quoted, "-c", "save", file)
}

func eyeD3(t testing.TB, program, file, artist string) {
	t.Helper()
	command(t, program, "-Q", "--no-color", "--encoding", "utf16", "-a", artist, "-b", artist, file)
}

func ffmpeg(t testing.TB, program, file, artist string) {
	t.Helper()
	ext := filepath.Ext(file)
	tmp := strings.TrimSuffix(file, ext) + ".tmp" + ext
	command(t, program, "-v", "error", "-nostdin", "-y", "-i", file, "-map", "0", "-c", "copy",
		"-id3v2_version", "3", "-metadata", "artist="+artist, "-metadata", "album_artist="+artist, tmp)
	if err := os.Rename(tmp, file); err != nil {
		t.Fatal(err)
	}
}

func command(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

// OggPages counts the pages of an Ogg file (RFC 3533 §6): all those behind one that is
// new have another number and checksum.
func OggPages(file []byte) (n int) {
	for len(file) > 27 && string(file[:4]) == "OggS" {
		size := 27 + int(file[26])
		for _, lace := range file[27:min(size, len(file))] {
			size += int(lace)
		}
		n++
		file = file[min(size, len(file)):]
	}
	return n
}
