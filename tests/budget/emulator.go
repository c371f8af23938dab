package budget

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/tunesafe/tunesafe/tests/tools"
)

const emulator = "qemu-x86_64"

// processor is the one that is emulated. It hashes as those do that have no instructions
// for SHA-256, which makes it the most that a processor has to do.
const processor = "max,sha-ni=off"

// Emulated is a program as QEMU's user mode executes it, which counts its instructions on
// every machine, ten times as slowly.
type Emulated struct {
	Program string // runs as the program does
	counts  string
}

// Emulate makes one. It is nil where this is no machine for it.
func Emulate(t testing.TB, program string) *Emulated {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		return nil
	}
	qemu := tools.Need(t, emulator, "gcc")[0]
	dir := t.TempDir()
	e := &Emulated{filepath.Join(dir, filepath.Base(program)), filepath.Join(dir, "counts")}
	plugin := filepath.Join(dir, "count.so")
	script := fmt.Sprintf("#!/bin/sh\nGODEBUG=asyncpreemptoff=1 COUNT_TO='%s' exec '%s' -cpu %s -plugin '%s' '%s' \"$@\"\n", e.counts, qemu, processor, plugin, program)
	if err := os.WriteFile(e.Program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	var err error
	var out []byte
	for _, version := range []string{"1", "2"} { // of the interface: of QEMU 7, of those since
		build := exec.Command("gcc", "-O2", "-shared", "-fPIC", "-DVERSION="+version, "-o", plugin, filepath.Join(here(), "testdata", "count.c"))
		if out, err = build.CombinedOutput(); err != nil {
			break
		}
		if out, err = exec.Command(e.Program, "version").CombinedOutput(); err == nil {
			break
		}
	}
	if err == nil {
		_, err = e.Count()
	}
	if err != nil {
		t.Fatalf("a counting emulator: %v\n%s", err, out)
	}
	return e
}

// Count is the instructions that were executed since it was asked last, of the runs that
// have ended.
func (e *Emulated) Count() (float64, error) {
	text, err := os.ReadFile(e.counts)
	if err != nil {
		return 0, err
	}
	sum := 0.0
	for line := range strings.Lines(string(text)) {
		n, err := strconv.ParseFloat(strings.TrimSpace(line), 64)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, os.Remove(e.counts)
}
