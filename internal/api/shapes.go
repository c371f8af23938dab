package api

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tunesafe/tunesafe/internal/control"
)

// What the owner says of names and paths is bytes. Here they are text, and their bytes
// beside it where they are no UTF-8.

func text(b []byte) string { return strings.ToValidUTF8(string(b), "\uFFFD") }

func texts(list [][]byte) (all []string) {
	for _, b := range list {
		all = append(all, text(b))
	}
	return all
}

// odd gives the bytes of a name that is not UTF-8.
func odd(b []byte) []byte {
	if utf8.Valid(b) {
		return nil
	}
	return b
}

func raw(list []string) (all [][]byte) {
	for _, p := range list {
		all = append(all, []byte(p))
	}
	return all
}

// status is what is safe, and what is not.
type status struct {
	control.Status
	Places []place `json:"places,omitempty"`
}

func statusOf(s control.Status) status {
	st := status{Status: s}
	for _, p := range s.Places {
		st.Places = append(st.Places, place{Name: text(p.Name), Root: text(p.Root), LastRun: p.LastRun, Held: heldOf(p.Held)})
	}
	return st
}

// place is a folder of this machine that is backed up, and where it is on the drive.
type place struct {
	Name    string     `json:"name"`
	Root    string     `json:"root"`
	LastRun *time.Time `json:"last_run,omitempty"`
	Held    []held     `json:"held,omitempty"`
}

// held is what the brake holds of one kind in a place.
type held struct {
	Place    string    `json:"place"`
	Kind     string    `json:"kind"`
	Files    int64     `json:"files"`
	Of       int64     `json:"of"`
	Sample   []string  `json:"sample,omitempty"`
	Since    time.Time `json:"since"`
	Decision string    `json:"decision,omitempty" doc:"approved or rejected; none: it waits for an answer"`
	Text     string    `json:"text" doc:"for people"`
}

func heldOf(list []control.Held) (all []held) {
	for _, h := range list {
		all = append(all, held{text(h.Place), h.Kind, h.Files, h.Of, texts(h.Sample), h.Since, h.Decision, h.Text})
	}
	return all
}

// note says something of a path.
type note struct {
	Path string `json:"path"`
	Text string `json:"text"`
}

func notesOf(list []control.PathNote) (all []note) {
	for _, n := range list {
		all = append(all, note{text(n.Path), n.Text})
	}
	return all
}

// placeReport is what came of the backup of a folder. Counts are of files.
type placeReport struct {
	control.PlaceReport
	Name     string   `json:"name"`
	Root     string   `json:"root"`
	Skipped  []note   `json:"skipped,omitempty"`
	Problems []note   `json:"problems,omitempty"`
	Busy     []string `json:"busy,omitempty"`
	Held     []held   `json:"held,omitempty"`
}

// backupReport is what came of a backup of folders.
type backupReport struct {
	Places   []placeReport `json:"places" nullable:"false"`
	Uploaded int64         `json:"uploaded" doc:"bytes, meanwhile"`
	Waiting  bool          `json:"waiting" doc:"not everything is safe yet"`
	SafeWord string        `json:"safe_word"`
}

func backupOf(r control.BackupReport) *backupReport {
	b := &backupReport{Places: []placeReport{}, Uploaded: r.Uploaded, Waiting: r.Waiting, SafeWord: r.SafeWord}
	for _, p := range r.Places {
		b.Places = append(b.Places, placeReport{PlaceReport: p, Name: text(p.Name), Root: text(p.Root),
			Skipped: notesOf(p.Skipped), Problems: notesOf(p.Problems), Busy: texts(p.Busy), Held: heldOf(p.Held)})
	}
	return b
}

// repairReport is what was put right, or would be.
type repairReport struct {
	control.RepairReport
	Lost []lostFile `json:"lost,omitempty"`
}

// lostFile is a file of the drive of which bytes are lost.
type lostFile struct {
	Path   string     `json:"path"`
	Is     string     `json:"is,omitempty" doc:"what it says of itself: artist and title"`
	What   string     `json:"what" doc:"is lost, and what is there"`
	Whole  *lastWhole `json:"whole,omitempty" doc:"the newest version that is whole"`
	Sought bool       `json:"sought" doc:"an earlier version was looked for"`
}

// lastWhole is a version of a file that is whole.
type lastWhole struct {
	Snapshot string    `json:"snapshot"`
	Time     time.Time `json:"time"`
	Path     string    `json:"path"`
}

func repairOf(r control.RepairReport) *repairReport {
	b := &repairReport{RepairReport: r}
	for _, f := range r.Lost {
		l := lostFile{Path: text(f.Path), Is: f.Is, What: f.What, Sought: f.Sought}
		if f.Whole != nil {
			l.Whole = &lastWhole{f.Whole.Snapshot, f.Whole.Time, text(f.Whole.Path)}
		}
		b.Lost = append(b.Lost, l)
	}
	return b
}
