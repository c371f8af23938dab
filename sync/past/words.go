package past

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/label"
	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/split"
)

// Words tells what differs between two versions, for people: "artist: Sibelius, Jean →
// Sibelius", "artwork replaced", "sound replaced", "mode 0644 → 0600". Tags are read from the
// versions themselves, by a few kilobytes of the store where they are not here; where
// they cannot be read it is said that they changed. Where the path changed is for the
// caller to say.
func (p *Past) Words(ctx context.Context, a, b *repo.InodeRow) (words []string) {
	if a.Type != b.Type {
		words = append(words, fmt.Sprintf("%s → %s", typeWord(a.Type), typeWord(b.Type)))
	} else if a.Type == "file" {
		words = append(words, p.contentWords(ctx, a, b)...)
	}
	return append(words, attributeWords(a, b, len(words) == 0)...)
}

func typeWord(t string) string {
	switch t {
	case "dir":
		return "folder"
	case "symlink":
		return "link"
	}
	return t
}

func (p *Past) contentWords(ctx context.Context, a, b *repo.InodeRow) (words []string) {
	if sameContent(a, b) {
		return nil
	}
	if !isMusic(a) && !isMusic(b) {
		if a.Size == b.Size {
			return []string{"content changed"}
		}
		return []string{fmt.Sprintf("content changed (%s → %s)", humanize.Bytes(uint64(a.Size)), humanize.Bytes(uint64(b.Size)))}
	}
	before, err := p.Label(ctx, a)
	after, err2 := p.Label(ctx, b)
	if err == nil && err2 == nil {
		words = labelWords(&before, &after)
	}
	art := artWord(a, b)
	if len(words) == 0 && art == "" && !sameKind(a, b, repo.Tags) {
		words = append(words, "other tags changed")
	}
	if art != "" {
		words = append(words, art)
	}
	if !sameSound(a, b) {
		words = append(words, "sound replaced")
	}
	if len(words) == 0 {
		words = append(words, "written anew")
	}
	return words
}

// isMusic reports whether the file was cut where its tags end.
func isMusic(r *repo.InodeRow) bool {
	return slices.ContainsFunc(r.Parts, func(p repo.Part) bool { return p.Kind != repo.Data })
}

// Label reads what a version says of itself.
func (p *Past) Label(ctx context.Context, r *repo.InodeRow) (label.Label, error) {
	f := p.open(*r, false)
	defer f.Close()
	runs, err := f.Runs(ctx)
	if err != nil {
		return label.Label{}, err
	}
	var l split.Layout
	for _, part := range r.Parts {
		l.Parts = append(l.Parts, split.KindOf(part.Kind))
	}
	for _, run := range runs {
		l.Runs = append(l.Runs, split.Run(run))
	}
	return label.Read(cache.ReaderAt{Ctx: ctx, File: f}, r.Size, l)
}

// labelWords compares what people see.
func labelWords(a, b *label.Label) (words []string) {
	number := func(n int) string {
		if n == 0 {
			return ""
		}
		return strconv.Itoa(n)
	}
	for _, f := range []struct{ name, was, is string }{
		{"title", a.Title, b.Title}, {"artist", a.Artist, b.Artist}, {"album", a.Album, b.Album},
		{"album artist", a.AlbumArtist, b.AlbumArtist}, {"composer", a.Composer, b.Composer}, {"genre", a.Genre, b.Genre},
		{"year", number(a.Year), number(b.Year)}, {"track", number(a.Track), number(b.Track)}, {"disc", number(a.Disc), number(b.Disc)},
	} {
		if f.was != f.is {
			words = append(words, fmt.Sprintf("%s: %s → %s", f.name, orNone(f.was), orNone(f.is)))
		}
	}
	return words
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func artWord(a, b *repo.InodeRow) string {
	count := func(r *repo.InodeRow) (n int) {
		for _, p := range r.Parts {
			if p.Kind == repo.Art {
				n++
			}
		}
		return n
	}
	was, is := count(a), count(b)
	switch {
	case sameKind(a, b, repo.Art):
		return ""
	case was == 0:
		return "artwork added"
	case is == 0:
		return "artwork removed"
	}
	return "artwork replaced"
}

// sameKind reports whether all parts of a kind are the same. One that was still on its way
// is what came.
func sameKind(a, b *repo.InodeRow, kind string) bool {
	of := func(r *repo.InodeRow) (all []repo.Part) {
		for _, p := range r.Parts {
			if p.Kind == kind {
				all = append(all, p)
			}
		}
		return all
	}
	return slices.EqualFunc(of(a), of(b), samePart)
}

func samePart(p, q repo.Part) bool {
	return p.Kind == q.Kind && p.Size == q.Size && (p.Owed() || q.Owed() || slices.Equal(p.Blobs, q.Blobs))
}

func sameSound(a, b *repo.InodeRow) bool {
	return sameKind(a, b, repo.Audio) && sameKind(a, b, repo.Probe)
}

func sameContent(a, b *repo.InodeRow) bool {
	more := a.More == nil && b.More == nil || a.More != nil && b.More != nil && *a.More == *b.More
	return a.Size == b.Size && slices.EqualFunc(a.Parts, b.Parts, samePart) && slices.Equal(a.Runs, b.Runs) && more
}

// sameState reports whether two versions are the same to whoever looks at them. The
// times of folders change with what is in them, and do not count.
func sameState(a, b *repo.InodeRow) bool {
	return a.Type == b.Type && sameContent(a, b) && len(attributeWords(a, b, a.Type != "dir")) == 0
}

// attributeWords compares all else; the time only where it is asked for: it changes with
// whatever changes.
func attributeWords(a, b *repo.InodeRow, withTime bool) (words []string) {
	say := func(format string, v ...any) { words = append(words, fmt.Sprintf(format, v...)) }
	if a.Mode != b.Mode {
		say("mode %04o → %04o", a.Mode, b.Mode)
	}
	if a.UID != b.UID || a.GID != b.GID {
		say("owner %d:%d → %d:%d", a.UID, a.GID, b.UID, b.GID)
	}
	if a.Target != b.Target && a.Type == b.Type {
		say("points to %q, not %q", b.Target, a.Target)
	}
	if names := otherXattrs(a.Xattrs, b.Xattrs); len(names) > 0 {
		say("attributes changed: %q", names)
	}
	if withTime && len(words) == 0 && !a.Mtime.Equal(b.Mtime) && a.Type != "dir" {
		say("time %s → %s", a.Mtime.Local().Format(time.DateTime), b.Mtime.Local().Format(time.DateTime))
	}
	return words
}

func otherXattrs(a, b map[string][]byte) (names []string) {
	all := maps.Clone(a)
	if all == nil {
		all = map[string][]byte{}
	}
	maps.Copy(all, b)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		was, had := a[name]
		is, has := b[name]
		if had != has || !bytes.Equal(was, is) {
			names = append(names, name)
		}
	}
	return names
}
