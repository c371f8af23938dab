package tests

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// TestNamedTestsExist: a promise whose test was renamed or removed is held by none.
func TestNamedTestsExist(t *testing.T) {
	out, err := exec.Command("git", "grep", "-hoE", `^func (Test|Fuzz)[A-Za-z0-9_]+`, "--", "../*_test.go").Output()
	if err != nil {
		t.Skip("no git repository:", err)
	}
	var there []string
	for line := range strings.Lines(string(out)) {
		there = append(there, strings.TrimSpace(strings.TrimPrefix(line, "func ")))
	}
	for _, doc := range []string{"../SECURITY.md", "../ARCHITECTURE.md"} {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9_]+\\*?)`").FindAllStringSubmatch(string(text), -1) {
			if !hasTest(there, name[1]) {
				t.Errorf("%s names %s, which is no test", doc, name[1])
			}
		}
	}
}

func hasTest(there []string, name string) bool {
	start, wild := strings.CutSuffix(name, "*")
	for _, n := range there {
		if n == name || wild && strings.HasPrefix(n, start) {
			return true
		}
	}
	return false
}
