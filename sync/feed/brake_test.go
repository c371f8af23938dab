package feed

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// disasters are what the brake has to hold, each with what it says.
var disasters = []struct {
	name   string
	limits Limits
	strike func(r *rig, tracks []string)
	want   string
}{
	{name: "emptied folder", want: "held 120 gone", strike: func(r *rig, tracks []string) {
		for _, p := range tracks {
			must(r.t, os.Remove(r.in(p)))
		}
	}},
	{name: "a share gone", want: "54 unchanged, held 66 gone", strike: func(r *rig, tracks []string) {
		for _, p := range tracks[:66] {
			must(r.t, os.Remove(r.in(p)))
		}
	}},
	{name: "folders gone", want: "40 unchanged, held 80 gone", strike: func(r *rig, _ []string) {
		must(r.t, os.RemoveAll(r.in("Artist 0")))
		must(r.t, os.RemoveAll(r.in("Artist 1")))
	}},
	{name: "tags wiped", want: "held 120 emptied", strike: func(r *rig, tracks []string) {
		for i, p := range tracks {
			r.write(p, track("", "", "", uint64(i)))
		}
	}},
	{name: "rot with times kept", want: "95 unchanged, held 25 rot", strike: func(r *rig, tracks []string) {
		for _, p := range tracks[:25] {
			info, err := os.Stat(r.in(p))
			must(r.t, err)
			f, err := os.OpenFile(r.in(p), os.O_WRONLY, 0)
			must(r.t, err)
			_, err = f.WriteAt([]byte("rot"), 15000)
			must(r.t, err)
			must(r.t, f.Close())
			must(r.t, os.Chtimes(r.in(p), info.ModTime(), info.ModTime()))
		}
	}},
	{name: "encrypted", want: "held 120 encrypted", strike: func(r *rig, tracks []string) {
		for i, p := range tracks {
			b, err := os.ReadFile(r.in(p))
			must(r.t, err)
			for j := range b {
				b[j] ^= byte(37*j + i + 1)
			}
			must(r.t, os.WriteFile(r.in(p), b, 0o644))
		}
	}},
	{name: "encrypted under another name", want: "120 new, held 120 gone", strike: func(r *rig, tracks []string) {
		for i, p := range tracks {
			r.write(p+".locked", strings.Repeat(fmt.Sprint(i, "?"), 1000))
			must(r.t, os.Remove(r.in(p)))
		}
	}},
	{name: "library cut off", want: "120 unchanged, held 1 library", strike: func(r *rig, _ []string) {
		must(r.t, os.Truncate(r.in("iTunes Library.xml"), 300))
	}},
	{name: "library of nothing", want: "120 unchanged, held 1 library", strike: func(r *rig, _ []string) {
		must(r.t, os.Truncate(r.in("iTunes Library.xml"), 0))
	}},
}

const libraryFile = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple Computer//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>Tracks</key><dict>
		<key>1</key><dict><key>Name</key><string>A &amp; B</string><key>Rating</key><integer>100</integer></dict>
	</dict>
</dict>
</plist>
`

// TestDisasters: what is held stays in the place to the byte, what is new goes on, a
// rejection asks no more, mending ends it, and an approval applies it.
func TestDisasters(t *testing.T) {
	for _, tt := range disasters {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			tracks := r.library(120)
			r.write("iTunes Library.xml", libraryFile)
			r.backup()
			good := r.placeTree()
			tt.strike(r, tracks)
			r.write("new", "new")
			want := tt.want
			if strings.HasSuffix(want, "new, held 120 gone") {
				want = "121 new, 1 unchanged, held 120 gone"
			} else {
				want = "1 new, " + want
			}
			if !strings.Contains(want, "library") { // it is unchanged, beside them
				want = plusOne(want)
			}
			if w := words(r.backup()); w != want {
				t.Errorf("%q, want %q", w, want)
			}
			r.holdsStill(good)
			r.ino("new")

			held, err := Decide(r.cache, r.place(), Rejected)
			must(t, err)
			if len(held) != 1 || held[0].Decision != Rejected || len(held[0].Sample) == 0 {
				t.Errorf("rejected: %+v", held)
			}
			if h := r.backup().Held; len(h) != 1 || h[0].Decision != Rejected {
				t.Errorf("after the rejection: %+v", h)
			}
			r.close() // what was decided outlives the program
			r.open()
			if h := r.backup().Held; len(h) != 1 || h[0].Decision != Rejected {
				t.Errorf("after another start: %+v", h)
			}
			r.holdsStill(good)
			_, err = Decide(r.cache, r.place(), Approved)
			must(t, err)
			if rep := r.backup(); len(rep.Held) != 0 {
				t.Errorf("after the approval: %s", words(rep))
			}
			r.same()
			if h, _, err := State(r.cache, r.place()); err != nil || len(h) != 0 {
				t.Errorf("in the end: %+v %v", h, err)
			}
		})
	}
}

// plusOne counts the library file among what is unchanged.
func plusOne(want string) string {
	for n := 119; n > 0; n-- {
		if s := fmt.Sprintf("%d unchanged", n); strings.Contains(want, s) && n > 1 {
			return strings.Replace(want, s, fmt.Sprintf("%d unchanged", n+1), 1)
		}
	}
	if strings.Contains(want, "unchanged") {
		return want
	}
	return strings.Replace(want, ", held", ", 1 unchanged, held", 1)
}

// holdsStill fails unless every file is in the place as it was.
func (r *rig) holdsStill(good map[string]string) {
	r.t.Helper()
	now := r.placeTree()
	bad := 0
	for _, p := range sortedKeys(good) {
		if strings.HasSuffix(p, ".mp3") || strings.HasSuffix(p, ".xml") {
			if now[p] != good[p] {
				if bad++; bad < 4 {
					r.t.Errorf("%q:\n was %s\n is  %s", p, good[p], now[p])
				}
			}
		}
	}
}

// TestReasonGoesAway: once the disk is back the hold is forgotten, and nothing was
// changed.
func TestReasonGoesAway(t *testing.T) {
	r := newRig(t)
	r.library(120)
	r.backup()
	before := r.st.Counts()
	must(t, os.Rename(r.in("Artist 0"), r.dir+"-0"))
	must(t, os.Rename(r.in("Artist 1"), r.dir+"-1"))
	t.Cleanup(func() { os.RemoveAll(r.dir + "-0"); os.RemoveAll(r.dir + "-1") })
	if w := words(r.backup()); w != "40 unchanged, held 80 gone" {
		t.Error(w)
	}
	must(t, os.Rename(r.dir+"-0", r.in("Artist 0")))
	must(t, os.Rename(r.dir+"-1", r.in("Artist 1")))
	if w := words(r.backup()); w != "120 unchanged" {
		t.Error(w)
	}
	r.same()
	if n := r.st.Counts().Puts - before.Puts; n > 2 { // the times of the folder
		t.Errorf("%d objects", n)
	}
}

// TestApprovedNoMore: an approval is of what was seen. A second disaster is held.
func TestApprovedNoMore(t *testing.T) {
	r := newRig(t)
	r.library(240)
	r.backup()
	must(t, os.RemoveAll(r.in("Artist 0")))
	must(t, os.RemoveAll(r.in("Artist 1")))
	if w := words(r.backup()); w != "160 unchanged, held 80 gone" {
		t.Error(w)
	}
	_, err := Decide(r.cache, r.place(), Approved)
	must(t, err)
	must(t, os.RemoveAll(r.in("Artist 2")))
	must(t, os.RemoveAll(r.in("Artist 3")))
	if w := words(r.backup()); w != "80 gone, 80 unchanged, held 80 gone" {
		t.Error(w)
	}
	r.ino("Artist 2/Album 8/00 Title.mp3")
}

// TestRejectedAndMore: beside what was rejected an ordinary change is applied, and
// another disaster asks anew.
func TestRejectedAndMore(t *testing.T) {
	r := newRig(t)
	tracks := r.library(240)
	r.backup()
	must(t, os.RemoveAll(r.in("Artist 0")))
	must(t, os.RemoveAll(r.in("Artist 1")))
	r.backup()
	_, err := Decide(r.cache, r.place(), Rejected)
	must(t, err)
	must(t, os.Remove(r.in(tracks[239])))
	if w := words(r.backup()); w != "1 gone, 159 unchanged, held 80 gone rejected" {
		t.Error(w)
	}
	must(t, os.RemoveAll(r.in("Artist 2")))
	must(t, os.RemoveAll(r.in("Artist 3")))
	if w := words(r.backup()); w != "79 unchanged, held 160 gone" {
		t.Error(w)
	}
}

// busyDays are what people do, a lot of it at once; nothing may be held.
var busyDays = []struct {
	name string
	do   func(r *rig, tracks []string)
}{
	{"retag everything", func(r *rig, tracks []string) {
		for i, p := range tracks {
			r.write(p, track(fmt.Sprint("Title ", i), "Corrected", fmt.Sprint("Album ", i/10), uint64(i)))
		}
	}},
	{"rename artists", func(r *rig, tracks []string) {
		for i := range 3 {
			must(r.t, os.Rename(r.in(fmt.Sprint("Artist ", i)), r.in(fmt.Sprint("Artist, the ", i))))
		}
	}},
	{"retag and rename every file", func(r *rig, tracks []string) {
		for i, p := range tracks {
			r.write(p, track(fmt.Sprint("Title ", i), "Corrected", fmt.Sprint("Album ", i/10), uint64(i)))
			must(r.t, os.Rename(r.in(p), r.in(strings.Replace(p, "Title", "Corrected", 1))))
		}
	}},
	{"copy to other folders and remove", func(r *rig, tracks []string) {
		for _, p := range tracks {
			b, err := os.ReadFile(r.in(p))
			must(r.t, err)
			r.write("Compilations/"+p, string(b))
			must(r.t, os.Remove(r.in(p)))
		}
	}},
	{"delete an album, rip another anew", func(r *rig, tracks []string) {
		must(r.t, os.RemoveAll(r.in("Artist 0/Album 0")))
		for i, p := range tracks[10:20] {
			r.write(p, track(fmt.Sprint("Ripped ", i), "Artist 0", "Album 1", uint64(9000+i)))
		}
	}},
	{"touch everything", func(r *rig, tracks []string) {
		for _, p := range tracks {
			must(r.t, os.Chtimes(r.in(p), time.Now(), time.Unix(1.6e9, 0)))
		}
	}},
	{"the library grows", func(r *rig, _ []string) {
		r.write("iTunes Library.xml", strings.Replace(libraryFile, "</dict>", "<key>2</key><dict/></dict>", 1))
	}},
}

func TestBusyDays(t *testing.T) {
	for _, tt := range busyDays {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			tracks := r.library(120)
			r.write("iTunes Library.xml", libraryFile)
			r.backup()
			tt.do(r, tracks)
			if rep := r.backup(); len(rep.Held) > 0 {
				t.Errorf("held: %s", words(rep))
			}
			r.same()
		})
	}
}
