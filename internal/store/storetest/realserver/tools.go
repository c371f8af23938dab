package realserver

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Required tells whether a missing program is a failure instead of a skip.
func Required() bool { return os.Getenv("TUNESAFE_REQUIRE_TOOLS") == "1" }

// Tool returns the path of a program from $PATH, such as s3cmd, or ends the
// test as the package's comment says.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, name, "$PATH", Required())
	}
	return path
}

// Built returns the path of a program that scripts/gotools.sh installs, or ends the
// test as the package's comment says.
func Built(t testing.TB, name string) string {
	t.Helper()
	return find(t, name, Required())
}

// find returns the path of a server's program.
func find(t testing.TB, name string, required bool) string {
	t.Helper()
	dir := binDir(t)
	path, err := exec.LookPath(filepath.Join(dir, name))
	if err == nil {
		return path
	}
	path, err = exec.LookPath(name)
	if err != nil {
		missing(t, name, dir+" and $PATH", required)
	}
	return path
}

func missing(t testing.TB, name, where string, required bool) {
	t.Helper()
	if required {
		t.Fatalf("%s is not in %s, and TUNESAFE_REQUIRE_TOOLS=1", name, where)
	}
	t.Skipf("%s is not in %s", name, where)
}

func binDir(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv("TUNESAFE_BIN"); dir != "" {
		return dir
	}
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(root, ".bin")
}

// moduleRoot is the nearest folder above the test's own with a go.mod.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("no go.mod above the working directory")
		}
	}
}
