package player

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
	"github.com/tunesafe/tunesafe/tests/drive"
	"github.com/tunesafe/tunesafe/tests/musiclib"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// TestPlaylistOfLibrary backs up a folder with a library of iTunes, and has mpd
// play one of its playlists from the drive of a cold home: the tracks in it, each
// once, in order.
func TestPlaylistOfLibrary(t *testing.T) {
	drive.NeedFUSE(t)
	tools.Need(t, append([]string{"mpd", "mpc"}, musiclib.Tools...)...)
	lib := filepath.Join(t.TempDir(), "Music")
	sum, err := musiclib.Make(t.Context(), lib, musiclib.Options{Albums: 3, TracksPerAlbum: 5, TotalBytes: 4e6, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	var want []string // every seventh is in the list
	for i := 0; i < len(sum.Tracks); i += 7 {
		want = append(want, "Music/"+sum.Tracks[i].Path)
	}
	server := realserver.StartEmbedded(t)
	first := drive.New(t, server)
	first.Init(server.Endpoint)
	first.Mount()
	first.Run("backup", lib)
	first.Run("unmount", "--wait", first.At)
	key := first.Lose()

	second := drive.New(t, server)
	second.Adopt(server.Endpoint, key)
	second.Mount()
	playsList(t, second.At, want)
}

func playsList(t *testing.T, at string, want []string) {
	t.Helper()
	m := startMPD(t, at, "no")
	m.run("--wait", "update")
	m.run("clear")
	m.run("load", "Music/Playlists (iTunes)/Sunday.m3u8")
	if got := strings.Split(m.run("--format", "%file%", "playlist"), "\n"); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("mpd loads\n%s\nnot\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	m.run("play")
	m.until("the list ends", func() bool { return !strings.Contains(m.run("status"), "[playing]") })
	for _, file := range want {
		if !strings.Contains(m.logged(), `player: played "`+file+`"`) {
			t.Errorf("mpd did not play %s", file)
		}
	}
	if bad := m.complaints(); len(bad) > 0 {
		t.Errorf("mpd complains:\n%s", strings.Join(bad, "\n"))
	}
}
