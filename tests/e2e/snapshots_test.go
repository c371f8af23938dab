package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/tests/drive"
	"github.com/tunesafe/tunesafe/tests/s3proxy"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// state is the drive as it was once: the name of its snapshot, and a copy.
type state struct{ name, copy string }

// snapshots lists the snapshots of a drive, oldest first.
func snapshots(t testing.TB, h *drive.Home) []string {
	t.Helper()
	list, err := os.ReadDir(filepath.Join(h.At, ".snapshots"))
	if err != nil || len(list) == 0 {
		t.Fatalf("%d snapshots, %v", len(list), err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

// keep waits until everything is in the bucket, and copies the drive. What is changed then
// is of another second, and so of another snapshot.
func keep(t testing.TB, h *drive.Home) state {
	t.Helper()
	wait(h)
	s := state{copy: tempDir(t)}
	copyTree(t, h.At, s.copy)
	names := snapshots(t, h)
	s.name = names[len(names)-1]
	time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second)))
	return s
}

// TestSnapshots: after retagging, renaming and deleting, each state of the drive is
// below .snapshots as it was, to the last attribute, here and from a bucket alone.
func TestSnapshots(t *testing.T) {
	ffmpeg := tools.Need(t, "ffmpeg", "ffprobe", tools.Mutagen)[0]
	p, proxy := counted(t)
	library := music(t, false)
	h := filled(t, p, library)
	states := []state{keep(t, h)}

	tools.Retag(t, h.At, tools.RetagOptions{To: "Somebody Else"})
	states = append(states, keep(t, h))
	renamed := rearrange(t, h.At)
	states = append(states, keep(t, h))

	// The sound of now is that of before: none is fetched.
	proxy.Reset()
	for _, s := range states {
		tools.SameTree(t, s.copy, filepath.Join(h.At, ".snapshots", s.name))
	}
	noSound(t, proxy.Stats())

	run(t, "rm", "-r", filepath.Join(h.At, renamed))
	states = append(states, keep(t, h))
	if names := slices.Compact(namesOf(states)); len(names) != len(states) {
		t.Fatalf("the states are the snapshots %q", names)
	}
	cold := coldDrive(t, p, lose(h))
	for _, s := range states {
		coldSnapshot(t, cold, proxy, s)
	}
	track := tools.Tracks(t, states[0].copy)[0]
	if was, is := sound(t, ffmpeg, filepath.Join(states[0].copy, track)), sound(t, ffmpeg, filepath.Join(cold.At, ".snapshots", states[0].name, track)); was != is {
		t.Errorf("%s sounds like %q, not %q", track, is, was)
	}
	last := states[len(states)-1].copy
	run(t, "diff", "-r", "--no-dereference", cold.At, last)
	again := tempDir(t)
	copyTree(t, cold.At, again)
	tools.SameTree(t, last, again)
	if _, err := os.Lstat(filepath.Join(again, ".snapshots")); !os.IsNotExist(err) {
		t.Errorf("cp -a copied the past, too: %v", err)
	}
	cold.Run("unmount", cold.At)
	cold.Mount("--show-snapshots")
	if list, err := exec.Command("ls", "-A", cold.At).CombinedOutput(); err != nil || !strings.Contains(string(list), ".snapshots\n") {
		t.Errorf("with --show-snapshots the drive lists %s, %v", list, err)
	}
}

func namesOf(states []state) (names []string) {
	for _, s := range states {
		names = append(names, s.name)
	}
	return names
}

// rearrange renames the first folder of a drive, makes and removes links in it, and
// returns its new name.
func rearrange(t testing.TB, at string) string {
	t.Helper()
	list, err := os.ReadDir(at)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list, os.DirEntry.IsDir)
	cmd := exec.Command("bash", "-euc", `mv "$1" Renamed; mkdir Renamed/new; track=$(find Renamed -type f -size +100k | head -n1)
ln "$track" Renamed/new/other; ln -s "../${track#Renamed/}" Renamed/new/link; chmod 600 "$track"; setfattr -n user.played -v 7 "$track"; touch -d 1999-12-31 Renamed/new`, "-", list[i].Name())
	cmd.Dir = at
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return "Renamed"
}

// coldSnapshot scans a snapshot that nothing is here of, and then reads all of it.
func coldSnapshot(t testing.TB, h *drive.Home, proxy *s3proxy.Proxy, s state) {
	t.Helper()
	dir := filepath.Join(h.At, ".snapshots", s.name)
	proxy.Reset()
	begun := time.Now()
	got := tools.ScanTags(t, dir)
	took := time.Since(begun)
	stats := proxy.Stats()
	noSound(t, stats)
	figure(t, "cold scan of snapshot %s: %d tracks, %s down in %d requests, %.1f s", s.name, len(got), size(stats.Down), stats.Requests, took.Seconds())
	want := tools.ScanTags(t, s.copy)
	if len(got) != len(want) {
		t.Errorf("%s has %d tracks, not %d", s.name, len(got), len(want))
	}
	for name, tags := range want {
		if got[name] != tags {
			t.Errorf("%s in %s: %+v, not %+v", name, s.name, got[name], tags)
		}
	}
	tools.SameTree(t, s.copy, dir)
}

// sound is what a track sounds like.
func sound(t testing.TB, ffmpeg, file string) string {
	t.Helper()
	run(t, "ffprobe", "-v", "error", file)
	out, err := exec.CommandContext(t.Context(), ffmpeg, "-v", "error", "-i", file, "-map", "0:a", "-f", "md5", "-").Output()
	if err != nil || len(out) == 0 {
		t.Errorf("ffmpeg: %v", err)
	}
	return string(out)
}
