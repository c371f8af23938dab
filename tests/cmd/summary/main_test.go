package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
)

const asRoot = `
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:1: seed: repeat with TUNESAFE_SEED=7\n"}
{"Action":"pass","Package":"p","Test":"TestA","Elapsed":0.1}
{"Action":"output","Package":"p","Test":"TestPlain","Output":"    a_test.go:9: not as root\n"}
{"Action":"skip","Package":"p","Test":"TestPlain"}
{"Action":"pass","Package":"p","Elapsed":0.2}
{"Action":"output","Package":"q","Output":"?   \tq\t[no test files]\n"}
{"Action":"skip","Package":"q"}
`

func TestSummary(t *testing.T) {
	for _, c := range []struct{ name, other, want string }{
		{"skipped everywhere", ``, "skipped everywhere: p TestPlain: a_test.go:9: not as root\n1 passed, 1 failed\n"},
		{"passed by another", `{"Action":"pass","Package":"p","Test":"TestPlain"}`, "2 passed, 0 failed\n"},
		{"failed", `{"Action":"fail","Package":"p","Test":"TestPlain"}
			{"Action":"fail","Package":"p"}`, "failed: p TestPlain (plain)\n1 passed, 1 failed\n"},
		{"not built", `{"Action":"pass","Package":"p","Test":"TestPlain"}
			{"Action":"fail","Package":"r"}`, "failed: r  (plain)\n2 passed, 1 failed\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "results")
			var out, errs bytes.Buffer
			if code := run([]string{"-as", "root", "-to", file}, strings.NewReader(asRoot), &out, &errs); code != 0 {
				t.Fatalf("exit code %d: %s%s", code, &out, &errs)
			}
			if want := "TUNESAFE_SEED=7\nok   p  0.2s  (root)\n"; !strings.HasSuffix(out.String(), want) {
				t.Errorf("printed %q, not …%q", out.String(), want)
			}
			wantCode := 0
			if strings.Contains(c.other, "fail") {
				wantCode = 1
			}
			if code := run([]string{"-as", "plain", "-to", file}, strings.NewReader(c.other), &out, &errs); code != wantCode {
				t.Errorf("exit code %d, not %d", code, wantCode)
			}
			out.Reset()
			run([]string{"-total", file}, nil, &out, &errs)
			if out.String() != c.want {
				t.Errorf("the total is %q, not %q", out.String(), c.want)
			}
		})
	}
}

// TestFailuresAreTold: what tells why tests failed is among the last lines, whatever else
// they printed, and however many they are.
func TestFailuresAreTold(t *testing.T) {
	log := strings.Repeat("        time=2026 level=INFO msg=committed\n", 100)
	events := func(test, output string) string {
		b, err := json.Marshal(event{Action: "output", Package: "p", Test: test, Output: output})
		if err != nil {
			t.Fatal(err)
		}
		return string(b) + "\n" + `{"Action":"fail","Package":"p","Test":"` + test + `"}` + "\n"
	}
	plain := events("TestA/sub", "=== RUN   TestA/sub\n    a_test.go:3: 7 commits, want 5\n    drive.go:9: end of the log:\n"+log) + events("TestA", "--- FAIL: TestA\n")
	script := events("TestScripts/x", "    script.go:6: WORK=x\n"+log+"        > exec tunesafe check\n        [stderr]\n        error: it is gone\n        FAIL: testdata/x.txtar:9: unexpected failure\n")
	dead := events("TestB", log+"panic: test timed out\n\ngoroutine 7 [running]:\n"+log)
	build := `{"ImportPath":"r [r.test]","Action":"build-output","Output":"r/r.go:7:2: undefined: x\n"}` + "\n" + `{"Action":"fail","Package":"r"}` + "\n"
	many := ""
	for i := range 9 {
		many += events(fmt.Sprint("TestMany", i), fmt.Sprintf("    m_test.go:%d: reason %d\n", i, i)+log)
	}
	for _, c := range []struct {
		name, in string
		want     []string
	}{
		{"plain", plain, []string{"failed: p TestA/sub (root)\n", "a_test.go:3: 7 commits, want 5", "\n0 passed, 2 failed\n"}},
		{"script", script, []string{"> exec tunesafe check", "error: it is gone", "x.txtar:9: unexpected"}},
		{"dead", dead, []string{"panic: test timed out", "goroutine 7"}},
		{"not built", build, []string{"r/r.go:7:2: undefined: x"}},
		{"many", many, []string{"reason 0", "reason 8"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "results")
			var out bytes.Buffer
			run([]string{"-as", "root", "-to", file}, strings.NewReader(c.in), io.Discard, io.Discard)
			run([]string{"-total", file}, nil, &out, io.Discard)
			for _, w := range c.want {
				if !strings.Contains(out.String(), w) {
					t.Errorf("no %q in\n%s", w, &out)
				}
			}
			if n := strings.Count(out.String(), "\n"); n > 28 || strings.Contains(out.String(), "failed: p TestA (") {
				t.Errorf("%d lines:\n%s", n, &out)
			}
		})
	}
}
