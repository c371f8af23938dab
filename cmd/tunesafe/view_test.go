package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/home"
)

func TestStatusText(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	last := now.Add(-2 * time.Minute)
	s := control.Status{
		PID: 7, Store: "s3://music/library", SafeWord: "safe", Mounts: []control.Mount{{Dir: "/m", ReadOnly: true}},
		SafeFiles: 12345, SafeBytes: 81e9, WaitingFiles: 2, WaitingBytes: 20e6, OpenFiles: 1,
		UploadedBytes: 80e9, UploadedObjects: 1, Rate: 1.5e6, LeftSeconds: 200, HoursPerDay: 24, Phase: "uploading audio",
		LabourSince: &last, AudioBytes: 100e9, AudioSafe: 12e9, LastCommit: &last, Unsaved: true,
	}
	for i := range 7 {
		s.Errors = append(s.Errors, control.StatusError{Time: now, Text: "store\nunavailable " + string(rune('0'+i))})
	}
	want := `drive         /m (read-only), process 7
store         s3://music/library
safe          12,345 files (81 GB)
waiting       2 files (20 MB), 1 of them open, 1.5 MB/s, about 3 min left
labour        all names, tags, art and playlists are safe since LAST
audio         12 % of 100 GB safe, about 3 min left at this rate
uploaded      80 GB in 1 object since init
last commit   2 minutes ago
now           uploading audio

went wrong lately:
  TIME  store unavailable 2
  TIME  store unavailable 3
  TIME  store unavailable 4
  TIME  store unavailable 5
  TIME  store unavailable 6

keep a copy of /h/recovery.key elsewhere; when you have: tunesafe recovery-key --saved --home /h
`
	got := strings.ReplaceAll(statusText(s, home.Home("/h"), now), now.Local().Format(time.DateTime), "TIME")
	got = strings.ReplaceAll(got, last.Local().Format(time.DateTime), "LAST")
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestLeft(t *testing.T) {
	for _, c := range []struct {
		hours, perDay float64 // of uploading
		want          string
	}{
		{0, 24, ""}, {0.1, 24, "about 6 min left"}, {30, 24, "about 30 h 0 min left"}, {16 * 24, 24, "about 16 days left"},
		{16 * 24, 8, "about 48 nights left, of 8 hours each"}, {180.5, 8, "about 23 nights left, of 8 hours each"}, {7, 8, "about 7 h 0 min left"},
	} {
		s := control.Status{WaitingFiles: 1, LeftSeconds: c.hours * 3600, HoursPerDay: c.perDay, DaysLeft: c.hours / c.perDay}
		if got := leftText(s); got != c.want {
			t.Errorf("%v hours, %v a day: %q, want %q", c.hours, c.perDay, got, c.want)
		}
	}
}

// On a computer that is its own store nothing is ever called safe.
func TestLocalIsNeverSafe(t *testing.T) {
	s := control.Status{SafeWord: localWord, SafeFiles: 3, Store: "/srv/store"}
	for _, text := range []string{statusText(s, "/h", time.Now()), farewellText(s)} {
		if strings.Contains(text, "safe") && !strings.Contains(text, "recovery-key") {
			t.Errorf("%q", text)
		}
		if !strings.Contains(text, localWord) {
			t.Errorf("%q does not say %q", text, localWord)
		}
	}
}

func TestRows(t *testing.T) {
	for text, want := range map[string]int{"": 1, "a\nb": 2, "12345": 1, "123456": 2, "12345678901\nö": 4, "öööööö": 2} {
		if got := rows(text, 5); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
	if rows("123456", 0) != 1 {
		t.Error("a terminal that does not tell its width")
	}
}

func TestModeText(t *testing.T) {
	for mode, want := range map[uint32]string{
		0o100644: "-rw-r--r--", 0o040755: "drwxr-xr-x", 0o120777: "lrwxrwxrwx", 0o010600: "prw-------",
		0o104755: "-rwsr-xr-x", 0o102644: "-rw-r-Sr--", 0o041777: "drwxrwxrwt", 0o041776: "drwxrwxrwT",
	} {
		if got := modeText(mode); got != want {
			t.Errorf("%o: %s, want %s", mode, got, want)
		}
	}
}

func TestParseMount(t *testing.T) {
	for line, want := range map[string][2]string{
		`36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw`:                 {"/mnt2", "ext3"},
		`66 44 0:39 / /media/My\040Music\134x rw shared:1 - fuse.tunesafe tunesafe:0 rw`: {`/media/My Music\x`, "fuse.tunesafe"},
		`half a line`: {"", ""},
	} {
		if path, kind := parseMount(line); path != want[0] || kind != want[1] {
			t.Errorf("%q: %q %q", line, path, kind)
		}
	}
}

func TestOthersAllowed(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "fuse.conf")
	for text, want := range map[string]bool{
		"": false, "#user_allow_other\n": false, "mount_max = 3\nuser_allow_other\n": true, " user_allow_other": true,
	} {
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if othersAllowed(conf) != want {
			t.Errorf("%q", text)
		}
	}
}

func TestWithin(t *testing.T) {
	for pair, want := range map[[2]string]bool{
		{"/a/b", "/a"}: true, {"/a", "/a"}: true, {"/ab", "/a"}: false, {"/", "/a"}: false, {"/a/..b", "/a"}: true,
	} {
		if within(pair[0], pair[1]) != want {
			t.Errorf("%v", pair)
		}
	}
}

// The program in front tells apart a start that failed and one that broke off.
func TestFollowStart(t *testing.T) {
	var shown strings.Builder
	p := newProgress(&shown)
	for reports, want := range map[string]error{
		`{"note":"reading"}` + "\n" + `{"ready":true}`: nil,
		`{"note":"reading"}`:                           errDied,
		``:                                             errDied,
	} {
		if err := follow(strings.NewReader(reports), p); !errors.Is(err, want) {
			t.Errorf("%s: %v", reports, err)
		}
	}
	err := follow(strings.NewReader(`{"warning":{"text":"odd","hint":"look"}}{"fault":{"text":"no","exit":1}}`), p)
	if f, ok := errors.AsType[*control.Fault](err); !ok || f.Text != "no" {
		t.Error(err)
	}
	if shown.String() != "warning: odd\nhint: look\n" {
		t.Errorf("%q", shown.String())
	}
}
