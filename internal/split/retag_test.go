package split_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tunesafe/tunesafe/internal/split"
)

// An edit changes a file in place, as the user's tagger does.
type edit struct {
	name string
	pic  pictures
	do   func(t testing.TB, path, cover string)
}

// pictures says what an edit does to a file's pictures.
type pictures int

const (
	keeps   pictures = iota // leaves them
	adds                    // the cover is a part from now on
	removes                 // there is none from now on
)

// A tagger is a tool, the kinds of file it edits, and edits in turn.
type tagger struct {
	tool  string
	files string // extensions
	edits []edit
}

// mutagen is an operation of testdata/retag.py.
func mutagen(op string, pic pictures) edit {
	return edit{op, pic, func(t testing.TB, path, cover string) {
		run(t, python, "testdata/retag.py", path, op, cover)
	}}
}

// command is an edit by a tool; @FILE and @COVER in its arguments are the files.
func command(name string, pic pictures, tool string, args ...string) edit {
	return edit{name, pic, func(t testing.TB, path, cover string) {
		var a []string
		for _, arg := range args {
			a = append(a, strings.NewReplacer("@FILE", path, "@COVER", cover).Replace(arg))
		}
		run(t, tool, a...)
	}}
}

// remux writes the file anew with ffmpeg -c copy.
func remux(name string, options ...string) edit {
	return edit{name, keeps, func(t testing.TB, path, _ string) {
		tmp := filepath.Join(filepath.Dir(path), "new"+filepath.Ext(path))
		ffmpeg(t, append(append([]string{"-i", path, "-map", "0", "-c", "copy"}, options...), tmp)...)
		if err := os.Rename(tmp, path); err != nil {
			t.Fatal(err)
		}
	}}
}

var long = strings.Repeat("long ", 2000)

var taggers = []tagger{
	{"mutagen", ".mp3 .mp2 .aac .m4a .m4b .m4v .mov .flac .ogg .opus .spx .oga .ogv .wav .aiff .wma .wv .tta .mpc .ape .ofr .tak .dsf .dff", []edit{
		mutagen("title", keeps), mutagen("picture", adds), mutagen("long", adds),
		mutagen("nopicture", removes), mutagen("delete", removes),
	}},
	{"mutagen", ".mp3", []edit{
		mutagen("apetitle", keeps), mutagen("title", keeps), mutagen("id3v23", keeps),
		mutagen("apepicture", adds), mutagen("nopadding", adds), mutagen("apedelete", removes),
	}},
	{"kid3-cli", ".mp3 .mp2 .m4a .m4b .m4v .flac .ogg .opus .spx .oga .wav .aiff .wma .wv .tta .mpc .ape .dsf .dff", []edit{
		command("title", keeps, "kid3-cli", "-c", `set title "A new title"`, "@FILE"),
		command("picture", adds, "kid3-cli", "-c", `set picture:"@COVER" "cover"`, "@FILE"),
		command("long", adds, "kid3-cli", "-c", `set comment "`+long+`"`, "@FILE"),
		command("remove", removes, "kid3-cli", "-c", "remove", "@FILE"),
	}},
	{"eyeD3", ".mp3", []edit{
		command("title", keeps, "eyeD3", "-Q", "-2", "-t", "A new title", "@FILE"),
		command("picture", adds, "eyeD3", "-Q", "-2", "--add-image", "@COVER:FRONT_COVER", "@FILE"),
		command("v2.3", adds, "eyeD3", "-Q", "--to-v2.3", "@FILE"),
		command("long", adds, "eyeD3", "-Q", "-c", long, "@FILE"),
		command("remove", removes, "eyeD3", "-Q", "--remove-all", "@FILE"),
	}},
	{"id3v2", ".mp3", []edit{
		command("title", keeps, "id3v2", "-t", "A new title", "@FILE"),
		command("long", keeps, "id3v2", "-c", long, "@FILE"),
		command("remove", removes, "id3v2", "--delete-all", "@FILE"),
	}},
	{"metaflac", ".flac", []edit{
		command("title", keeps, "metaflac", "--set-tag=TITLE=A new title", "@FILE"),
		command("picture", adds, "metaflac", "--import-picture-from=@COVER", "@FILE"),
		command("seek table", adds, "metaflac", "--add-seekpoint=1s", "--dont-use-padding", "@FILE"),
		command("gain", adds, "metaflac", "--add-replay-gain", "@FILE"),
		command("no picture", removes, "metaflac", "--remove", "--block-type=PICTURE", "@FILE"),
		command("remove", removes, "metaflac", "--remove-all", "--dont-use-padding", "@FILE"),
	}},
	{"vorbiscomment", ".ogg", []edit{
		command("title", keeps, "vorbiscomment", "-w", "-t", "TITLE=A new title", "@FILE"),
		command("long", keeps, "vorbiscomment", "-a", "-t", "COMMENT="+long, "@FILE"),
	}},
	{"AtomicParsley", ".m4a .m4b", []edit{
		command("title", keeps, "AtomicParsley", "@FILE", "--title", "A new title", "--overWrite"),
		command("picture", adds, "AtomicParsley", "@FILE", "--artwork", "@COVER", "--overWrite"),
		command("no picture", removes, "AtomicParsley", "@FILE", "--artwork", "REMOVE_ALL", "--overWrite"),
		command("remove", removes, "AtomicParsley", "@FILE", "--metaEnema", "--overWrite"),
	}},
	{"ffmpeg", ".mp3 .flac .ogg .opus .spx .oga .wav .aiff .wma .mka .mkv .webm .wv .tta .caf", []edit{
		remux("title", "-metadata", "title=A new title"),
		remux("long", "-metadata", "comment="+long),
	}},
	{"ffmpeg", ".aac", []edit{
		remux("title", "-metadata", "title=A new title", "-write_id3v2", "1"),
		remux("long", "-metadata", "comment="+long, "-write_id3v2", "1"),
	}},
	{"ffmpeg", ".m4a", []edit{
		remux("title", "-metadata", "title=A new title"),
		remux("faststart", "-movflags", "+faststart"),
	}},
	{"wvtag", ".wv", []edit{
		command("title", keeps, "wvtag", "-q", "-w", "Title=A new title", "@FILE"),
		command("picture", adds, "wvtag", "-q", "-y", "--write-binary-tag", "Cover Art (Front)=@@COVER", "@FILE"),
		command("long", adds, "wvtag", "-q", "-y", "-w", "Comment="+long, "@FILE"),
		command("remove", removes, "wvtag", "-q", "-y", "--clean", "@FILE"),
	}},
	{"mpcgain", ".mpc", []edit{command("gain", keeps, "mpcgain", "@FILE")}},
	{"mkvpropedit", ".mka .mkv .webm", []edit{
		command("title", keeps, "mkvpropedit", "@FILE", "--edit", "info", "--set", "title=A new title", "--edit", "track:a1", "--set", "name=A track"),
		command("picture", adds, "mkvpropedit", "@FILE", "--attachment-name", "cover.jpg", "--attachment-mime-type", "image/jpeg", "--add-attachment", "@COVER"),
		command("long", adds, "mkvpropedit", "@FILE", "--edit", "info", "--set", "title="+long),
		command("no picture", removes, "mkvpropedit", "@FILE", "--delete-attachment", "mime-type:image/jpeg"),
		command("remove", removes, "mkvpropedit", "@FILE", "--edit", "info", "--delete", "title", "--tags", "all:"),
	}},
	{"ffmpeg", ".mp3", []edit{
		remux("v2.3 and v1", "-id3v2_version", "3", "-write_id3v1", "1", "-metadata", "title=A new title"),
		remux("APE", "-write_apetag", "1", "-write_xing", "0"),
	}},
}

// beyond are pairs that a tagger does not support, or where it truly changes
// the sound's bytes.
var beyond = map[string]string{
	"fragments.m4a ffmpeg":        "puts the fragments together",
	"chained.ogg ffmpeg":          "makes one stream of the links, header packets and all",
	"fragments.m4a AtomicParsley": "does not edit fragments",
	"live.mka ffmpeg":             "writes other clusters than those of a live stream",
	"mkvmerge.mka ffmpeg":         "writes other clusters than mkvmerge's",
	"sv7.mpc mpcgain":             "decodes, and there is noise instead of sound",
	"rf64.wav mutagen":            "does not know RF64",
	"rf64.wav kid3-cli":           "does not know RF64",
}

// TestRetag is the promise of the package: whatever a tagger does, probe and
// audio stay the same bytes, the file joins again, and a cover is its own part.
func TestRetag(t *testing.T) {
	for _, s := range samples {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			for i, g := range taggers {
				if !strings.Contains(g.files+" ", filepath.Ext(s.name)+" ") {
					continue
				}
				if why := beyond[s.name+" "+g.tool]; why != "" {
					t.Logf("%s is left out: it %s", g.tool, why)
					continue
				}
				t.Run(g.tool+"-"+g.edits[0].name, func(t *testing.T) {
					t.Parallel()
					need(t, g.tool)
					retag(t, s, taggers[i])
				})
			}
		})
	}
}

// retag applies a tagger's edits one after the other and compares.
func retag(t *testing.T, s sample, g tagger) {
	b := original(t, s)
	path := filepath.Join(t.TempDir(), s.name)
	write(t, path, b)
	picture := cover(t)
	first := cut(t, b)
	for _, k := range []split.Kind{split.Probe, split.Audio} {
		if first.part(k) == nil {
			t.Fatalf("no %v in %s", k, first.sketch())
		}
	}
	for _, e := range g.edits {
		e.do(t, path, picture)
		edited := read(t, path)
		if bytes.Equal(edited, b) && e.pic != removes {
			t.Errorf("%s: the file is as before, so nothing is tested", e.name)
		}
		c := cut(t, edited)
		sameSound(t, e.name, first, c)
		if strings.Contains(".m4a .m4b .m4v .mov", filepath.Ext(path)) && g.tool != "ffmpeg" && s.name != "fragments.m4a" {
			sameIndex(t, e.name, first, c)
		}
		checkArt(t, e, c, read(t, picture))
	}
}

// sameIndex compares the sample tables of an MP4.
func sameIndex(t *testing.T, name string, a, b cutting) {
	t.Helper()
	if x := a.part(split.Index); len(x) == 0 || !bytes.Equal(x, b.part(split.Index)) {
		t.Errorf("%s: the index of %d bytes changed", name, len(x))
	}
}

// sameSound compares probe and audio.
func sameSound(t *testing.T, name string, a, b cutting) {
	t.Helper()
	if x, y := sha256.Sum256(a.sound()), sha256.Sum256(b.sound()); x != y {
		t.Errorf("%s: the sound was %x, %d bytes, and is %x, %d bytes", name, x[:4], len(a.sound()), y[:4], len(b.sound()))
	}
	for _, k := range []split.Kind{split.Probe, split.Audio} {
		if !bytes.Equal(a.part(k), b.part(k)) {
			t.Errorf("%s: %v changed", name, k)
		}
	}
}

// checkArt wants the cover as a part of its own, or no picture at all.
func checkArt(t *testing.T, e edit, c cutting, picture []byte) {
	t.Helper()
	art := c.art()
	switch {
	case e.pic == removes && len(art) > 0:
		t.Errorf("%s: %d pictures remain", e.name, len(art))
	case e.pic == adds && len(art) != 1:
		t.Errorf("%s: %d pictures in %s", e.name, len(art), c.sketch())
	case e.pic == adds && !bytes.Equal(art[0], picture) && !isBase64Picture(art[0], picture):
		t.Errorf("%s: the picture has %d bytes, its part %d others", e.name, len(picture), len(art[0]))
	}
}

// isBase64Picture reports whether text is a PICTURE block of the picture, as Ogg
// has it.
func isBase64Picture(text, picture []byte) bool {
	b, err := base64.StdEncoding.DecodeString(string(text))
	return err == nil && bytes.HasSuffix(b, picture)
}
