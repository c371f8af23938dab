// Summary makes of the events of several test runs what a person reads:
//
//	go test -json ./... | summary -as root -to build/test/results
//	summary -total build/test/results
//
// The first prints the result of each package, the output of tests that failed,
// and the lines that tests mark with "figure:" and "seed:"; it adds all results
// to a file. The second counts them, every test once, names those that failed with
// what of their output tells why, few enough lines to be seen at the end of a long
// log, and prints a last line
//
//	123 passed, 0 failed
//
// A test that is skipped in one run must pass in another, as those for root and
// for plain users do: otherwise it counts as failed.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("summary", flag.ContinueOnError)
	fs.SetOutput(stderr)
	as := fs.String("as", "", "what to call this run")
	to := fs.String("to", "", "the file to add results to")
	total := fs.String("total", "", "the file whose results to count")
	if err := fs.Parse(args); err != nil || (*to == "") == (*total == "") {
		fmt.Fprintln(stderr, "usage: summary -as NAME -to FILE | -total FILE")
		return 2
	}
	if *total != "" {
		return count(*total, stdout, stderr)
	}
	f, err := os.OpenFile(*to, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		fmt.Fprintln(stderr, "error:", err)
		return 1
	}
	r := &reader{as: *as, out: stdout, results: json.NewEncoder(f), outputs: map[string][]string{}}
	return cmp.Or(r.read(stdin), closing(f, stderr))
}

func closing(f *os.File, stderr io.Writer) int {
	if err := f.Close(); err != nil {
		fmt.Fprintln(stderr, "error:", err)
		return 1
	}
	return 0
}

// event is what `go doc test2json` describes.
type event struct {
	Action     string
	Package    string
	ImportPath string // of a build
	Test       string
	Elapsed    float64
	Output     string
}

// result is a line of the file.
type result struct {
	As      string `json:"as"`
	Package string `json:"package"`
	Test    string `json:"test,omitempty"` // empty: the package itself
	Action  string `json:"action"`         // pass, fail, skip
	Why     string `json:"why,omitempty"`  // of a skip, on a line; of a failure, what it printed
}

// reader reads the events of one run.
type reader struct {
	as      string
	out     io.Writer
	results *json.Encoder
	outputs map[string][]string // by package and test, until it ends
	failed  bool
}

func (r *reader) read(in io.Reader) int {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			var e event
			if json.Unmarshal([]byte(line), &e) != nil {
				fmt.Fprint(r.out, line) // the go command's own words
			} else {
				r.take(e)
			}
		}
		if err != nil {
			break
		}
	}
	if r.failed {
		return 1
	}
	return 0
}

func (r *reader) take(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "output":
		r.outputs[key] = append(r.outputs[key], e.Output)
		if marked(e.Output) {
			fmt.Fprintf(r.out, "  %s: %s\n", cmp.Or(e.Test, e.Package), strings.TrimSpace(e.Output))
		}
	case "build-output":
		fmt.Fprint(r.out, e.Output)
		of, _, _ := strings.Cut(e.ImportPath, " ")
		r.outputs[of+" "] = append(r.outputs[of+" "], e.Output)
	case "pass", "skip", "fail":
		r.end(e, r.outputs[key])
		delete(r.outputs, key)
	}
}

// marked tells of output that people want to see of every run.
func marked(output string) bool {
	return strings.Contains(output, "figure:") || strings.Contains(output, "seed:")
}

func (r *reader) end(e event, output []string) {
	res := result{As: r.as, Package: e.Package, Test: e.Test, Action: e.Action}
	if e.Action == "fail" {
		r.failed = true
		res.Why = strings.Join(output, "")
		fmt.Fprint(r.out, res.Why)
	}
	if e.Action == "skip" {
		res.Why = strings.Join(strings.Fields(strings.Join(output, " ")), " ")
	}
	if e.Test == "" {
		if len(output) > 0 && e.Action == "skip" {
			return // a package without tests
		}
		fmt.Fprintf(r.out, "%-4s %s  %.1fs  (%s)\n", map[string]string{"pass": "ok", "fail": "FAIL"}[e.Action], e.Package, e.Elapsed, r.as)
	}
	if err := r.results.Encode(res); err != nil {
		fmt.Fprintln(r.out, "error:", err)
		r.failed = true
	}
}

// count prints the totals of a file.
func count(file string, stdout, stderr io.Writer) int {
	f, err := os.Open(file)
	if err != nil {
		fmt.Fprintln(stderr, "error:", err)
		return 1
	}
	defer f.Close()
	worst := map[string]result{} // by package and test: fail, else pass, else skip
	rank := map[string]int{"skip": 1, "pass": 2, "fail": 3}
	for in := json.NewDecoder(f); ; {
		var r result
		if err := in.Decode(&r); err == io.EOF {
			break
		} else if err != nil {
			fmt.Fprintln(stderr, "error:", file+":", err)
			return 1
		}
		key := r.Package + " " + r.Test
		if rank[r.Action] > rank[worst[key].Action] {
			worst[key] = r
		}
	}
	return verdict(worst, stdout)
}

func verdict(worst map[string]result, stdout io.Writer) int {
	passed, failed := 0, 0
	broken := map[string]bool{} // packages, and tests, within which a test failed
	for _, r := range worst {
		if r.Test == "" || r.Action != "fail" {
			continue
		}
		broken[r.Package+" "] = true
		for i, c := range r.Test {
			if c == '/' {
				broken[r.Package+" "+r.Test[:i]] = true
			}
		}
	}
	told := 0 // failures that are told of
	for key, r := range worst {
		if r.Action == "fail" && !broken[key] {
			told++
		}
	}
	for _, key := range slices.Sorted(maps.Keys(worst)) {
		r := worst[key]
		switch {
		case r.Test == "" && (r.Action == "pass" || broken[key]):
			continue // its tests are counted
		case r.Action == "pass":
			passed++
			continue
		case r.Action == "skip":
			fmt.Fprintf(stdout, "skipped everywhere: %s %s: %s\n", r.Package, r.Test, r.Why)
		case broken[key]: // the tests within it are told of
		default:
			fmt.Fprintf(stdout, "failed: %s %s (%s)\n", r.Package, r.Test, r.As)
			for _, line := range telling(r.Why, max(2, shown/told-1)) {
				fmt.Fprintf(stdout, "  | %s\n", line)
			}
		}
		failed++
	}
	fmt.Fprintf(stdout, "%d passed, %d failed\n", passed, failed)
	if failed > 0 || passed == 0 {
		return 1
	}
	return 0
}

// shown is how many lines all failures together take.
const shown = 24

// noise is what a test's output says of the order in which tests run.
var noise = regexp.MustCompile(`^\s*(=== \w+|--- \w+:|FAIL$|$)|figure:`)

// reason is a line that says why a test failed, in the words of package testing, of a
// program that dies, or of a compiler.
var reason = regexp.MustCompile(`^\s*[\w./-]+\.go:\d+(:\d+)?: |^\s*(panic|fatal error): |DATA RACE|^\s*error: `)

// telling picks the lines of a failed test's output, at most so many, that say why: all;
// or of a script the last ones up to its end, as it first tells what it saw; or each
// reason with what stands behind it.
func telling(output string, most int) (lines []string) {
	all := slices.DeleteFunc(strings.Split(output, "\n"), noise.MatchString)
	if len(all) <= most {
		return clip(all)
	}
	script := func(line string) bool { return strings.HasPrefix(strings.TrimSpace(line), "FAIL: ") }
	if i := slices.IndexFunc(all, script); i >= 0 {
		return clip(all[max(0, i+1-most) : i+1])
	}
	reasons := 0
	for _, line := range all {
		if reason.MatchString(line) {
			reasons++
		}
	}
	if reasons == 0 {
		return clip(all[len(all)-most:])
	}
	each := max(1, most/reasons)
	next := 0 // of all
	for i, line := range all {
		if i >= next && reason.MatchString(line) {
			next = min(i+each, len(all))
			lines = append(lines, all[i:next]...)
		}
	}
	return clip(lines[:min(len(lines), most)])
}

// clip shortens long lines.
func clip(lines []string) []string {
	const wide = 240
	for i, line := range lines {
		if len(line) > wide {
			lines[i] = strings.ToValidUTF8(line[:wide], "") + "…"
		}
	}
	return lines
}
