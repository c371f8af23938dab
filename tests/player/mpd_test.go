package player

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/tests/musiclib"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// mpd is a Music Player Daemon with a configuration of its own.
type mpd struct {
	t      testing.TB
	mpc    string
	socket string
	log    string
}

// The null output drops the sound as soon as it is decoded: what is tested is
// that all of it arrives.
const mpdConfig = `
music_directory    "%s"
playlist_directory "%[2]s"
db_file            "%[2]s/database"
log_file           "%[2]s/log"
pid_file           "%[2]s/pid"
state_file         "%[2]s/state"
bind_to_address    "%[2]s/socket"
log_level          "verbose"
auto_update        "no"
zeroconf_enabled   "no"
replaygain         "off"
audio_output {
	type "null"
	name "nowhere"
	sync "%[3]s"
}
`

// startMPD runs mpd on the music folder. sync tells whether its output takes as
// long as the music does.
func startMPD(t testing.TB, music, sync string) *mpd {
	t.Helper()
	programs := tools.Need(t, "mpd", "mpc")
	dir, err := os.MkdirTemp("", "mpd") // short: a socket's path has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	m := &mpd{t: t, mpc: programs[1], socket: filepath.Join(dir, "socket"), log: filepath.Join(dir, "log")}
	conf := filepath.Join(dir, "mpd.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, mpdConfig, music, dir, sync), 0o644); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := exec.Command(programs[0], "--no-daemon", conf)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // how it ended does not matter any more
		if t.Failed() {
			t.Logf("mpd printed:\n%s\nand logged:\n%s", out.String(), m.logged())
		}
	})
	m.until("mpd answers", func() bool { return exec.Command(m.mpc, "--host", m.socket, "version").Run() == nil })
	return m
}

// run is a command of mpc that must succeed.
func (m *mpd) run(args ...string) string {
	m.t.Helper()
	out, err := exec.Command(m.mpc, append([]string{"--host", m.socket}, args...)...).CombinedOutput()
	if err != nil {
		m.t.Fatalf("mpc %q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// elapsed is how much of a track was heard, in seconds, as mpd says.
func (m *mpd) elapsed() float64 {
	m.t.Helper()
	for line := range strings.Lines(m.ask("status")) {
		if text, ok := strings.CutPrefix(line, "elapsed: "); ok {
			s, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			if err != nil {
				m.t.Fatal(err)
			}
			return s
		}
	}
	return 0
}

// ask gives mpd's whole answer to a command of its protocol.
func (m *mpd) ask(command string) string {
	m.t.Helper()
	c, err := net.Dial("unix", m.socket)
	if err != nil {
		m.t.Fatal(err)
	}
	defer c.Close()
	if _, err := fmt.Fprintf(c, "%s\nclose\n", command); err != nil {
		m.t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if err != nil {
		m.t.Fatal(err)
	}
	return string(answer)
}

// logged is mpd's log, but for what it says of mpc's coming and going.
func (m *mpd) logged() string {
	log, err := os.ReadFile(m.log)
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for line := range strings.Lines(string(log)) {
		if !strings.Contains(line, " client: ") {
			b.WriteString(line)
		}
	}
	return b.String()
}

func (m *mpd) until(what string, ok func() bool) {
	m.t.Helper()
	const patience = 2 * time.Minute
	for begun := time.Now(); !ok(); time.Sleep(100 * time.Millisecond) {
		if time.Since(begun) > patience {
			m.t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// complaints are the lines of mpd's log that tell of something that went wrong
// with the music. At its first start it misses its own files, too.
func (m *mpd) complaints() (lines []string) {
	for line := range strings.Lines(m.logged()) {
		if strings.Contains(line, filepath.Dir(m.log)) {
			continue
		}
		l := strings.ToLower(line)
		for _, word := range []string{"error", "failed", "failure", "problem", "input/output", "corrupt", "invalid"} {
			if strings.Contains(l, word) && strings.Contains(line, "/") {
				lines = append(lines, strings.TrimSpace(line))
				break
			}
		}
	}
	return lines
}

// TestMPD has mpd index the drive of a cold home, and play one track of every
// kind through.
func TestMPD(t *testing.T) {
	tools.Need(t, "mpd", "mpc")
	c := newCold(t)
	m := startMPD(t, c.At, "no")
	m.run("--wait", "update")
	indexed := strings.Split(m.run("listall"), "\n")
	if len(indexed) != len(c.sum.Tracks) {
		t.Errorf("mpd found %d tracks, not %d:\n%s", len(indexed), len(c.sum.Tracks), strings.Join(indexed, "\n"))
	}
	titles := strings.Split(m.run("--format", "%title%", "listall"), "\n")
	for _, track := range c.sum.Tracks {
		if !contains(titles, track.Title) {
			t.Errorf("mpd does not know %q of %s", track.Title, track.Path)
		}
	}
	t.Logf("figure: mpd indexed %d tracks from a cold home; requests below audio/: %d; bytes downloaded: %d",
		len(indexed), c.audio(), c.proxy.Stats().Down)

	kinds := []musiclib.Kind{musiclib.MP3}
	if tools.Tier() != "ci" {
		kinds = []musiclib.Kind{
			musiclib.MP3, musiclib.M4AFront, musiclib.M4ABack, musiclib.FLAC, musiclib.Ogg, musiclib.Opus, musiclib.WAV,
		}
	}
	for _, kind := range kinds {
		file, err := c.firstOf(kind)
		if err != nil {
			t.Error(err)
			continue
		}
		m.playThrough(file)
	}
	if bad := m.complaints(); len(bad) > 0 {
		t.Errorf("mpd complains:\n%s", strings.Join(bad, "\n"))
	}
	mustBeSilent(t, c.Home.Log())
}

// TestMPDInTime plays a track at its own speed from a cold home.
func TestMPDInTime(t *testing.T) {
	tools.Need(t, "mpd", "mpc")
	c := newCold(t)
	m := startMPD(t, c.At, "yes")
	m.run("--wait", "update")
	shortest := ""
	for _, track := range c.sum.Tracks {
		if track.Kind == musiclib.MP3 && (shortest == "" || m.seconds(track.Path) < m.seconds(shortest)) {
			shortest = track.Path
		}
	}
	length, played := m.seconds(shortest), 0.0
	for range 3 { // on a busy machine mpd, or who asks it, may have had to wait
		begun := time.Now()
		m.playThrough(shortest)
		if played = time.Since(begun).Seconds(); played <= length+3 {
			break
		}
	}
	t.Logf("figure: mpd played %.1f s of music in %.1f s", length, played)
	if played < length-1 || played > length+3 {
		t.Errorf("a track of %.1f s took %.1f s", length, played)
	}
	if bad := m.complaints(); len(bad) > 0 {
		t.Errorf("mpd complains:\n%s", strings.Join(bad, "\n"))
	}
}

// seconds is the length of a track as mpd indexed it.
func (m *mpd) seconds(file string) float64 {
	m.t.Helper()
	text := m.run("--format", "%time%", "listall", file)
	minutes, rest, ok := strings.Cut(text, ":")
	a, err := strconv.ParseFloat(minutes, 64)
	b, err2 := strconv.ParseFloat(rest, 64)
	if !ok || err != nil || err2 != nil {
		m.t.Fatalf("mpc says that %s takes %q", file, text)
	}
	return 60*a + b
}

// playThrough plays a file until mpd says that it was played to its end.
func (m *mpd) playThrough(file string) {
	m.t.Helper()
	m.run("clear")
	m.run("add", file)
	m.run("play")
	m.until("the track ends", func() bool { return !strings.Contains(m.run("status"), "[playing]") })
	// mpd says so when the last sample left, and not if it gave up before.
	if want := fmt.Sprintf("player: played \"%s\"", file); !strings.Contains(m.logged(), want) {
		m.t.Errorf("mpd did not log %s", want)
	}
	if status := m.run("status"); strings.Contains(status, "ERROR") {
		m.t.Errorf("mpd could not play %s:\n%s", file, status)
	}
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}
