package main

import (
	"bytes"
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
