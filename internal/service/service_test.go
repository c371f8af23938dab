package service

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tunesafe/tunesafe/tests/tools"
)

var odd = Service{Program: "/opt/a b/tune$afe", Home: `/home/x/100%/"quoted" & <odd>\`, Log: "/home/x/log"}

// TestUnit has systemd itself read the unit.
func TestUnit(t *testing.T) {
	tools.Need(t, "systemd-analyze")
	dir := t.TempDir()
	program := filepath.Join(dir, "a b", "tune$afe")
	if err := errors.Join(os.Mkdir(filepath.Dir(program), 0o755), os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755)); err != nil {
		t.Fatal(err)
	}
	for _, serves := range []bool{false, true} {
		s := odd
		s.Program, s.Serves = program, serves
		file := filepath.Join(dir, UnitName)
		if err := os.WriteFile(file, []byte(s.Unit()), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("systemd-analyze", "verify", "--user", "--man=no", "--recursive-errors=no", file)
		cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+dir)
		out, err := cmd.CombinedOutput()
		if err != nil || strings.Contains(string(out), UnitName) {
			t.Errorf("%v\n%s\n%s", err, out, s.Unit())
		}
	}
}

func TestUnitIsChecked(t *testing.T) {
	tools.Need(t, "systemd-analyze")
	file := filepath.Join(t.TempDir(), UnitName)
	if err := os.WriteFile(file, []byte(strings.Replace(odd.Unit(), "WatchdogSec=300", "WatchdogSec=often", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("systemd-analyze", "verify", "--user", "--man=no", "--recursive-errors=no", file)
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+filepath.Dir(file))
	if out, _ := cmd.CombinedOutput(); !strings.Contains(string(out), UnitName) {
		t.Errorf("a wrong unit is not found:\n%s", out)
	}
}

func TestQuote(t *testing.T) {
	if got, want := quote(`a "b" \ 50% $HOME`), `"a \"b\" \\ 50%% $$HOME"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestPlist parses the list as XML, and finds the words of the command line in it.
func TestPlist(t *testing.T) {
	in := xml.NewDecoder(strings.NewReader(odd.Plist()))
	var words []string
	depth := 0
	for {
		token, err := in.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			depth++
		case xml.EndElement:
			depth--
		case xml.CharData:
			if text := strings.TrimSpace(string(token)); text != "" {
				words = append(words, text)
			}
		}
	}
	if depth != 0 {
		t.Error("elements that do not end")
	}
	want := []string{"Label", Label, "ProgramArguments", odd.Program, "agent", "--foreground", "--home", odd.Home, "RunAtLoad"}
	for i, w := range want {
		if i >= len(words) || words[i] != w {
			t.Fatalf("got %q, want them to begin with %q", words, want)
		}
	}
}
