package e2e

import (
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/tunesafe/tunesafe/tests/drive"
	"github.com/tunesafe/tunesafe/tests/musiclib"
	"github.com/tunesafe/tunesafe/tests/s3proxy"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// The bounds of a bulk retag: bytes a track in the bodies of requests, all told,
// and PUTs.
const (
	mutagenBytes = 300
	kid3Bytes    = 2 * mutagenBytes
	bulkPuts     = 5
)

// bulk is how many tracks are retagged at once.
const bulk = 100

// An artist renamed on the drive costs bytes: nothing of the sound goes up, and
// the changes of many tracks share a few requests.
func TestRetag(t *testing.T) {
	p, proxy := counted(t)
	library := music(t, true)
	h := filled(t, p, library)
	r := &retagging{t: t, place: p, proxy: proxy, home: h, key: filepath.Join(h.Dir, "recovery.key"),
		source: h.At, artist: musiclib.FirstArtist, pages: oggPages(t, library)}

	r.bulk("mutagen", "Sibelius", mutagenBytes)
	r.kinds("mutagen", " of Hämeenlinna")
	r.bulk("kid3", "Sibelius, J. (1865-1957)", kid3Bytes)
	r.kinds("kid3", ", J.")

	t.Run("afterwards", func(t *testing.T) {
		tags := tools.ScanTags(t, h.At)
		key := lose(h)
		cold := coldDrive(t, p, key)
		if got := tools.ScanTags(t, cold.At); !maps.Equal(got, tags) {
			t.Error("a cold home shows other tags")
		}
		drain(cold)
		cold.Run("check", "--read")
	})
}

// A library is retagged from a home that holds none of it: nothing comes down
// but what the tagger reads.
func TestRetagCold(t *testing.T) {
	p, proxy := counted(t)
	library := music(t, true)
	key := lose(filled(t, p, library))
	whole := readLedger(t, p.folder, key).sent(proxy.Log())
	h := coldDrive(t, p, key)
	r := &retagging{t: t, place: p, proxy: proxy, home: h, key: key,
		source: library, artist: musiclib.FirstArtist, pages: oggPages(t, library)}
	s := r.bulk("mutagen", "Sibelius", mutagenBytes)
	small := whole.of("tags", "art", "index", "seals", "probe")
	figure(t, "retag cold: %s down in %d requests, sound %s; stored in all are %s (%v)", size(s.Down), s.Requests, size(s.Prefixes["audio/"].Down), size(small), whole)
	if s.Down > small*3/2 {
		t.Errorf("%d bytes came down; all small parts of the library are %d", s.Down, small)
	}
}

// retagging renames an artist on a drive, over and over.
type retagging struct {
	t      *testing.T
	place  place
	proxy  *s3proxy.Proxy
	home   *drive.Home
	key    string
	source string         // where the files of the drive can be read at no cost
	artist string         // as it is now
	pages  map[string]int // of each Ogg file, as they were last
}

// bulk renames the artist in the tracks of all kinds at once. Ogg files of which
// the tagger makes another number of pages cost kilobytes each: they follow, with
// a figure of their own.
func (r *retagging) bulk(tool, to string, bound int64) (s s3proxy.Stats) {
	o := tools.RetagOptions{Tool: tool, From: r.artist, To: to, Limit: bulk}
	o.Except = r.repaged(o)
	r.t.Run(tool+"/all", func(t *testing.T) {
		var n int
		n, s = r.retag(t, o, "all kinds")
		noSound(t, s)
		if n+len(o.Except) != bulk {
			t.Errorf("%d tracks were there to retag, want %d", n+len(o.Except), bulk)
		}
		if s.Up > bound*int64(n) {
			t.Errorf("%d bytes for %d tracks; %d a track are allowed", s.Up, n, bound)
		}
		if puts := s.Ops["PutObject"].Requests; puts > bulkPuts {
			t.Errorf("%d PUTs; %d are allowed", puts, bulkPuts)
		}
	})
	if len(o.Except) > 0 {
		r.t.Run(tool+"/repaged", func(t *testing.T) {
			_, s := r.retag(t, tools.RetagOptions{Tool: tool, From: r.artist, To: to}, "Ogg with other pages")
			noSound(t, s)
		})
	}
	r.artist = to
	return s
}

// repaged tries on copies which files will have another number of pages.
func (r *retagging) repaged(o tools.RetagOptions) (names []string) {
	dir := r.t.TempDir()
	for name := range r.pages {
		b, err := os.ReadFile(filepath.Join(r.source, name))
		if err == nil {
			err = os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o644)
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
	tools.Retag(r.t, dir, o)
	for name, n := range oggPages(r.t, dir) {
		if n != r.pages[name] {
			names = append(names, name)
		}
	}
	return names
}

// kinds renames the artist in the tracks of one container after the other, to
// give the figure of each.
func (r *retagging) kinds(tool, suffix string) {
	to := "Sibelius" + suffix
	for _, kind := range []string{"mp3", "m4a", "flac", "ogg", "opus", "wav"} {
		r.t.Run(tool+"/"+kind, func(t *testing.T) {
			o := tools.RetagOptions{Tool: tool, From: r.artist, To: to, Match: "*." + kind}
			if tool == "kid3" { // a third of a second each
				o.Limit = tools.Count(t, 10, 0, 0)
			}
			_, s := r.retag(t, o, kind)
			noSound(t, s)
		})
	}
	r.artist = to
}

// retag retags and uploads, and tells how many tracks it were and what went over
// the line.
func (r *retagging) retag(t *testing.T, o tools.RetagOptions, what string) (int, s3proxy.Stats) {
	t.Helper()
	r.proxy.Reset()
	edited := tools.Retag(t, r.home.At, o)
	if len(edited) == 0 {
		t.Fatal("no track to retag")
	}
	drain(r.home)
	log := r.proxy.Log()
	s := r.proxy.Reset()
	r.home.Mount()
	r.pages = oggPages(t, r.home.At)
	n := int64(len(edited))
	figure(t, "retag by %s, %s: %d tracks, %d bytes up, %d a track, %d PUTs: %v; %s down",
		o.Tool, what, n, s.Up, s.Up/n, s.Ops["PutObject"].Requests, readLedger(t, r.place.folder, r.key).sent(log), size(s.Down))
	return len(edited), s
}

// oggPages counts the pages of each Ogg file below root.
func oggPages(t *testing.T, root string) map[string]int {
	t.Helper()
	pages := map[string]int{}
	for _, name := range tools.Tracks(t, root) {
		if ext := filepath.Ext(name); ext != ".ogg" && ext != ".opus" {
			continue
		}
		b, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		pages[name] = tools.OggPages(b)
	}
	return pages
}
