package home

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
	"github.com/tunesafe/tunesafe/tests/drive"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// TestMove moves a repository between servers that are processes of their own: cut
// short at random moments, beside a drive that is written to, without the folder
// of the music, over a copy that is damaged, and by s3cmd.
func TestMove(t *testing.T) {
	tools.StepByStep(t)
	t.Run("versitygw", func(t *testing.T) { move(t, realserver.StartVersity(t)) })
	if tools.Tier() != "ci" && realserver.WithMinIO() {
		t.Run("minio", func(t *testing.T) { move(t, realserver.StartMinIO(t)) })
	}
}

func move(t *testing.T, to *realserver.Server) {
	rnd := rand.New(rand.NewPCG(uint64(tools.Seed(t)), 0))
	noise := func(n int) []byte {
		p := make([]byte, n)
		for i := range p {
			p[i] = byte(rnd.Uint32())
		}
		return p
	}
	from := realserver.StartVersity(t)
	h, second := drive.New(t, from), drive.New(t, from)
	h.Init(from.Endpoint)
	second.Adopt(from.Endpoint, filepath.Join(h.Dir, "recovery.key"))
	music := filepath.Join(t.TempDir(), "Music")
	must(t, os.Mkdir(music, 0o755))
	want := map[string][]byte{}
	for i := range 25 {
		name := fmt.Sprintf("%02d.flac", i)
		want["Music/"+name] = noise(50_000 + rnd.IntN(500_000))
		must(t, os.WriteFile(filepath.Join(music, name), want["Music/"+name], 0o644))
	}
	h.Run("backup", music)
	must(t, os.Rename(music, music+" is away")) // nothing of it is read from here on

	h.Mount(settle)
	written := 0
	write := func() {
		name := fmt.Sprintf("written %d", written)
		want[name] = noise(5000)
		must(t, os.WriteFile(filepath.Join(h.At, name), want[name], 0o644))
		written++
	}
	args := []string{"store", "move", "--to", "s3://moved/here", "--endpoint", to.Endpoint, "--region", "us-east-1"}
	there := map[string]time.Time{}
	for range tools.Count(t, 3, 20, 100) {
		write()
		c := h.Command(args...)
		must(t, c.Start())
		ended := make(chan error, 1)
		go func() { ended <- c.Wait() }()
		for enough := len(there) + rnd.IntN(10); len(copied(t, to)) < enough && len(ended) == 0; {
			time.Sleep(time.Millisecond)
		}
		_ = c.Process.Kill() // it may have ended, refused: the drive is mounted
		<-ended
		there = mustKeep(t, to, there)
		mustUse(t, h, from)
		t.Logf("cut short with %d objects copied", len(there))
	}
	write()
	if _, stderr, code := h.Try(args...); code == 0 || !strings.Contains(stderr, "hint: wait until it ends, or unmount its drive") {
		t.Fatalf("beside a mounted drive: exit code %d\n%s", code, stderr)
	}
	there = mustKeep(t, to, there)
	mustUse(t, h, from)
	write()
	pid := h.Pid()
	h.Run("unmount", "--wait", h.At)
	h.AwaitEnd(pid)

	// What of the copy is cut short is found, and copied again.
	harmed := ""
	for key := range there {
		if strings.HasPrefix(key, "here/audio/") || strings.HasPrefix(key, "here/meta/") {
			harmed = key
		}
	}
	client := to.Client()
	_, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("moved"), Key: &harmed, Body: bytes.NewReader([]byte("cut short"))})
	must(t, err)
	delete(there, harmed)
	if stdout, _, code := h.Try(append(args, "--copied")...); code == 0 || !strings.Contains(stdout, "problem: "+strings.TrimPrefix(harmed, "here/")+": of another size in the copy") {
		t.Fatalf("a damaged copy: exit code %d\n%s", code, stdout)
	}
	mustUse(t, h, from)
	t.Log(h.Run(args...))
	mustKeep(t, to, there)
	mustUse(t, h, to)
	mustBeClean(t, h)

	// The other machine wrote to the old place all the while. s3cmd copies it.
	late := filepath.Join(t.TempDir(), "Late")
	must(t, os.Mkdir(late, 0o755))
	want["Late/late"] = noise(300_000)
	must(t, os.WriteFile(filepath.Join(late, "late"), want["Late/late"], 0o644))
	second.Run("backup", late)
	s3cmd(t, from, "get", "--recursive", drive.Store+"/", "all/")
	s3cmd(t, to, "put", "--recursive", "all/", "s3://moved/by-s3cmd/")
	by := append([]string{"store", "move", "--copied", "--to", "s3://moved/by-s3cmd"}, args[4:]...)
	second.Run(by...)
	mustUse(t, second, to)
	mustBeClean(t, second)

	// From the new place alone: the old one is gone.
	from.Kill()
	restored := t.TempDir()
	second.Run("restore", "/", filepath.Join(restored, "all"))
	for name, p := range want {
		if got, err := os.ReadFile(filepath.Join(restored, "all", name)); err != nil || !bytes.Equal(got, p) {
			t.Errorf("%s: %d bytes of %d, %v", name, len(got), len(p), err)
		}
	}
}

// mustKeep looks that nothing that was copied was sent again, and gives what is
// there now.
func mustKeep(t *testing.T, to *realserver.Server, before map[string]time.Time) map[string]time.Time {
	t.Helper()
	now := copied(t, to)
	for key, at := range before {
		if !now[key].Equal(at) {
			t.Errorf("%s was put at %v, and again at %v", key, at, now[key])
		}
	}
	return now
}

// copied lists what is at the new place, and when it came.
func copied(t *testing.T, to *realserver.Server) map[string]time.Time {
	t.Helper()
	now := map[string]time.Time{}
	pages := s3.NewListObjectsV2Paginator(to.Client(), &s3.ListObjectsV2Input{Bucket: aws.String("moved")})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil && strings.Contains(err.Error(), "NoSuchBucket") {
			break
		}
		must(t, err)
		for _, o := range page.Contents {
			now[*o.Key] = *o.LastModified
		}
	}
	return now
}

// mustUse looks which store a home uses.
func mustUse(t *testing.T, h *drive.Home, s *realserver.Server) {
	t.Helper()
	if text, err := os.ReadFile(filepath.Join(h.Dir, "config.toml")); err != nil || !bytes.Contains(text, []byte(s.Endpoint)) {
		t.Fatalf("the home does not use %s: %v\n%s", s.Endpoint, err, text)
	}
}

var s3cmdDir string

// s3cmd is Debian's, in a folder of the test.
func s3cmd(t *testing.T, s *realserver.Server, args ...string) {
	t.Helper()
	program := tools.Need(t, "s3cmd")[0]
	if s3cmdDir == "" {
		s3cmdDir = t.TempDir()
		t.Cleanup(func() { s3cmdDir = "" })
		must(t, os.Mkdir(filepath.Join(s3cmdDir, "all"), 0o755))
	}
	host := strings.TrimPrefix(s.Endpoint, "http://")
	cmd := exec.Command(program, append([]string{"--config", os.DevNull, "--access_key", s.AccessKey, "--secret_key", s.SecretKey,
		"--no-ssl", "--host", host, "--host-bucket", host, "--region", "us-east-1", "--no-progress", "--quiet"}, args...)...)
	cmd.Dir = s3cmdDir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("s3cmd %q: %v\n%s", args, err, out)
	}
}
