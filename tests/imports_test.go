// Package tests holds what is said of the source as a whole; its folders hold
// the tests that drive the real program.
package tests

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/tunesafe/tunesafe"

// arrows says which packages of this module a package may import, by path below
// the module; a name that ends in "/" stands for all below it. ARCHITECTURE.md
// tells why. What is not listed may import none.
var arrows = map[string][]string{
	"cmd/tunesafe":                        {"cache", "fs", "sync", "sync/browse", "sync/feed", "sync/library", "sync/past", "sync/stock", "internal/"},
	"fs":                                  {"cache"},
	"cache":                               {"internal/kv", "internal/crashpoint", "internal/room"},
	"sync":                                {"cache", "internal/history", "internal/retain", "internal/label", "internal/split", "internal/repo", "internal/store", "internal/crashpoint", "internal/room"},
	"sync/feed":                           {"cache", "sync", "internal/folder", "internal/itunes", "internal/label", "internal/repo", "internal/split"},
	"sync/past":                           {"cache", "sync", "internal/history", "internal/label", "internal/repo", "internal/split", "internal/store"},
	"sync/browse":                         {"cache", "internal/catalog", "internal/label", "internal/split"},
	"sync/stock":                          {"cache", "sync/browse", "internal/label"},
	"sync/library":                        {"cache", "internal/itunes"},
	"internal/kv":                         {"internal/crashpoint", "internal/mapped", "internal/pages", "internal/room"},
	"internal/label":                      {"internal/split"},
	"internal/catalog":                    {"internal/label"},
	"internal/repo":                       {"internal/store", "internal/crashpoint", "internal/mapped", "internal/pages", "internal/room"},
	"internal/history":                    {"internal/repo", "internal/store", "internal/mapped", "internal/pages", "internal/room"},
	"internal/estimate":                   {"internal/folder", "internal/split", "internal/repo", "internal/store/mem"},
	"internal/recoverykit":                {"internal/shamir"},
	"internal/home":                       {"internal/retain", "internal/store", "internal/store/s3", "internal/repo", "internal/s3server"},
	"internal/mapped":                     {"internal/pages"},
	"internal/health":                     {"internal/repo", "internal/store", "internal/mapped"},
	"internal/renew":                      {"internal/repo", "internal/store", "internal/mapped"},
	"internal/agent":                      {"internal/schedule", "internal/home"},
	"internal/task":                       {"internal/control"},
	"internal/api":                        {"internal/catalog", "internal/control", "internal/task"},
	"internal/web":                        {"internal/api", "internal/task", "internal/catalog", "internal/control", "internal/recoverykit", "internal/label", "internal/thumbnail", "internal/zipstream"},
	"internal/store/s3":                   {"internal/store"},
	"internal/store/mem":                  {"internal/store"},
	"internal/store/storetest":            {"internal/store"},
	"internal/store/storetest/realserver": {"internal/s3server"},
}

// TestArrows lists the real imports, those of tests left out.
func TestArrows(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}`, module+"/...").Output()
	if err != nil {
		t.Fatal("go list:", err)
	}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		pkg := strings.TrimPrefix(f[0], module+"/")
		if strings.HasPrefix(pkg, "tests") {
			continue
		}
		for _, imp := range f[1:] {
			if to, ours := strings.CutPrefix(imp, module+"/"); ours && !allowed(pkg, to) {
				t.Errorf("%s imports %s: an arrow that ARCHITECTURE.md does not have", pkg, to)
			}
		}
	}
}

func allowed(from, to string) bool {
	return slices.ContainsFunc(arrows[from], func(a string) bool {
		return a == to || strings.HasSuffix(a, "/") && strings.HasPrefix(to, a)
	})
}
