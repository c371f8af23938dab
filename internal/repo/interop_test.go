package repo

import (
	"bytes"
	"crypto/sha256"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// tool skips the test if a program is not installed, or fails it where the
// tools must be there.
func tool(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		if os.Getenv("TUNESAFE_REQUIRE_TOOLS") == "1" {
			t.Fatalf("%s is not installed: %v", name, err)
		}
		t.Skipf("%s is not installed; TUNESAFE_REQUIRE_TOOLS=1 makes this a failure", name)
	}
}

// run runs a program with input and gives its output.
func run(t *testing.T, input []byte, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	var errText bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(input), &errText
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, errText.Bytes())
	}
	return out
}

// TestGenericTools opens a repository with age and zstd, from the recovery key
// on, by the commands of FORMAT.md §3.
func TestGenericTools(t *testing.T) {
	tool(t, "age")
	tool(t, "zstd")
	l := newLibrary(t)
	dir := t.TempDir()
	key := func(name string, text []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	recovery := key("recovery.key", []byte(l.recovery.String()+"\n"))
	keys := run(t, l.body(recoveryFile), "age", "-d", "-i", recovery)
	if want := must(l.k.MarshalText())(t); !bytes.Equal(keys, want) {
		t.Error("age opens other keys")
	}
	identity := key("repository.key", keys)
	open := func(name string) []byte { return run(t, l.body(name), "age", "-d", "-i", identity) }

	text := run(t, open(l.second.Name), "zstd", "-dc")
	if want := l.second.appendText(nil); !bytes.HasPrefix(text, want) || bytes.Count(text[len(want):], []byte("\n")) != 1 {
		t.Error("age and zstd read another commit")
	}
	if got := open(l.audio.Name); !bytes.HasPrefix(got, noise(1, 2*chunkSize+9)) {
		t.Error("age opens other sound")
	}
	frames := open(l.art.Name)
	first := run(t, frames[:l.art.Frames[0].Packed], "zstd", "-dc")
	if !bytes.Equal(first, noise(6, 90<<10)) {
		t.Error("zstd unpacks another picture")
	}
	if all := run(t, frames, "zstd", "-dc"); !bytes.HasPrefix(all, first) || !bytes.Contains(all, []byte(`"frames":[[`)) {
		t.Error("the pack's index is not its last frame")
	}
	run(t, open("devices/"+l.d.ID+".age"), "grep", "-q", l.d.ID)
}

// TestReadGenericTools reads what age and zstd wrote.
func TestReadGenericTools(t *testing.T) {
	tool(t, "age")
	tool(t, "zstd")
	e := newEnv(t)
	plain := noise(8, 100<<10)
	packed := run(t, plain, "zstd", "-c", "-19")
	body := run(t, packed, "age", "-r", e.k.ring.Load().recipient.String())
	row := ObjectRow{
		Name: objectName("meta", sha256.Sum256(body)), Size: int64(len(body)), Head: sha256.Sum256(body[:pinnedSize]),
		Kind: Tags, Frames: []Frame{{Packed: int64(len(packed)), Blobs: []BlobRef{e.ref(plain)}}},
	}
	e.overwrite(row.Name, body)
	if err := e.x.Apply(&Commit{Puts: []ObjectRow{row}}); err != nil {
		t.Fatal(err)
	}
	if got := must(e.reader(t.TempDir()).Blob(t.Context(), e.k.BlobID(plain)))(t); !bytes.Equal(got, plain) {
		t.Error("another blob")
	}
}

// TestPythonBlobID computes an id as a reader in Python would.
func TestPythonBlobID(t *testing.T) {
	tool(t, "python3")
	k := newEnv(t).k
	p := noise(9, 5000)
	out := run(t, p, "python3", "-c", `import base64, hashlib, sys
key = base64.urlsafe_b64decode(sys.argv[1] + "=")
digest = hashlib.blake2b(sys.stdin.buffer.read(), key=key, digest_size=16).digest()
print(base64.urlsafe_b64encode(digest).decode().rstrip("="), end="")`, b64.EncodeToString(k.hashKey[:]))
	if want := k.BlobID(p).String(); string(out) != want {
		t.Errorf("Python computes %s, want %s", out, want)
	}
}
