package web

import (
	"context"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/task"
)

// sickOwner has a store in which something is damaged, by names that mean harm.
type sickOwner struct {
	control.Owner
	repairs []control.RepairRequest
	told    int           // commits
	hold    chan struct{} // a check waits for it
}

func (o *sickOwner) Status(context.Context) (control.Status, error) {
	now := time.Now()
	return control.Status{SafeWord: "safe", Health: &control.Health{LastCheck: &now, Checked: 3, Damaged: 1, Sample: []string{"audio/x: " + hostile},
		Rehearsed: &control.Rehearsal{Time: now, Files: 2, Whole: 1, Problems: []string{hostile}}}}, nil
}

func (o *sickOwner) Health(_ context.Context, _ control.HealthRequest, file func(control.FileHealth)) (r control.HealthReport, err error) {
	for i := range 500 {
		f := control.FileHealth{Path: fmt.Append(nil, hostile, i), State: "damaged"}
		r.Add(f)
		file(f)
	}
	return r, nil
}

func (o *sickOwner) Trends(context.Context, control.TrendsRequest, func(control.PastProgress)) (control.Trends, error) {
	return control.Trends{Days: []control.TrendDay{{Day: "2026-11-21", Recent: 70, Older: 20, Unread: 6, Damaged: 4}}}, nil
}

func (o *sickOwner) Check(ctx context.Context, _ control.CheckRequest, progress func(control.CheckProgress)) (control.CheckReport, error) {
	progress(control.CheckProgress{Objects: 1, TotalObjects: 4, Bytes: 25, TotalBytes: 100})
	select {
	case <-o.hold:
	case <-ctx.Done():
		return control.CheckReport{}, ctx.Err()
	}
	origin := &control.Origin{Name: hostile, Why: hostile}
	var all []control.Finding
	for range 300 {
		all = append(all, control.Finding{Kind: "damaged", Object: hostile, Text: hostile, Put: origin, Condemned: origin, Files: []string{hostile}, FileCount: 2})
	}
	return control.CheckReport{Findings: all, Heads: []string{"head"}}, nil
}

func (o *sickOwner) Repair(_ context.Context, r control.RepairRequest, _ func(control.RepairProgress)) (control.RepairReport, error) {
	o.repairs = append(o.repairs, r)
	return control.RepairReport{DryRun: r.DryRun, Put: []control.RepairedObject{{Object: hostile, How: hostile}},
		Lost: []control.LostFile{
			{Path: []byte(hostile), Is: hostile, What: hostile, Sought: true, Whole: &control.LastWhole{Snapshot: "2026-11-20T10-00-00Z", Path: []byte(hostile), Is: hostile}},
			{Path: []byte(hostile), What: hostile, Sought: true},
		},
		Left: []control.Finding{{Object: hostile, Text: hostile}}}, nil
}

func (o *sickOwner) Rehearse(context.Context, control.RehearseRequest, func(control.RehearseProgress)) (control.Rehearsal, error) {
	return control.Rehearsal{}, errors.New(hostile)
}

// sick serves it.
func sick(t *testing.T, o Options) (*browser, *sickOwner) {
	t.Helper()
	s, _ := serve(t, o)
	owner := &sickOwner{hold: make(chan struct{})}
	s.Owner = owner
	return enter(t, s), owner
}

func (b *browser) press(path, token string) answer {
	b.t.Helper()
	return b.do(http.MethodPost, path, url.Values{"csrf": {token}})
}

// done waits for the end of a task.
func (b *browser) done(kind string) answer {
	b.t.Helper()
	eventually(b.t, kind+" ends", func() bool {
		t := b.s.taskOf(kind)
		if t == nil {
			return false
		}
		st := t.State()
		return st.Over()
	})
	return b.get("/health/" + kind)
}

// TestHealthPages shows what a store that means harm says of itself as text, and on
// pages that stay small.
func TestHealthPages(t *testing.T) {
	b, owner := sick(t, Options{})
	token := b.csrfOf("/health")
	harmless := func(what string, got answer, says ...string) {
		t.Helper()
		b.want(got, http.StatusOK, what)
		if strings.Contains(got.text, "<script>alert") || strings.Contains(got.text, "<img src=x") {
			t.Errorf("%s shows HTML of a name as such", what)
		}
		for _, text := range append(says, "&lt;script&gt;") {
			if !strings.Contains(got.text, text) {
				t.Errorf("%s does not say %q", what, text)
			}
		}
		if len(got.text) > 300<<10 {
			t.Errorf("%s has %d bytes", what, len(got.text))
		}
	}
	harmless("the page", b.get("/health"), "1 object in the store cannot be read", "See what a repair would do")
	harmless("the files", b.get("/health/files"), "500 damaged", "and 400 files more")
	if got := b.get("/health/shares").text; !strings.Contains(got, "read within 30 days</th><td>70</td><td>70 %</td>") || !strings.Contains(got, "damaged</th><td>4</td>") {
		t.Errorf("the shares: %s", got)
	}

	b.want(b.press("/health/verify", token), http.StatusSeeOther, "verifying")
	eventually(t, "progress", func() bool { return strings.Contains(b.get("/health/verify").text, "1 object of 4, 25 B of 100 B") })
	b.want(b.press("/health/repair", token), http.StatusConflict, "a repair beside a check")
	if len(owner.repairs) > 0 {
		t.Error("it was repaired all the same")
	}
	close(owner.hold)
	harmless("the findings", b.done(task.Verify), "300 problems found", "300 findings in all", "needed by 2 files in all")

	b.want(b.press("/health/foresee", token), http.StatusSeeOther, "looking ahead")
	harmless("what a repair would do", b.done(task.Foresee), "Not all of it can be put back", `href="/time/2026-11-20T10-00-00Z"`, "No earlier version of it is whole either", "Repair now")
	b.want(b.press("/health/repair", token), http.StatusSeeOther, "the repair")
	harmless("the repair", b.done(task.Repair), "Not all could be put right", "2 files of which bytes are lost")
	if len(owner.repairs) != 2 || !owner.repairs[0].DryRun || owner.repairs[1].DryRun {
		t.Errorf("the owner was asked for %+v", owner.repairs)
	}
	b.want(b.press("/health/rehearse", token), http.StatusSeeOther, "a rehearsal")
	harmless("the rehearsal", b.done(task.Rehearse), "This could not be done")
}

// TestStopTask ends a check that would last; so does the end of the page, which serve
// waits for.
func TestStopTask(t *testing.T) {
	b, _ := sick(t, Options{})
	token := b.csrfOf("/health")
	b.press("/health/check", token)
	b.want(b.press("/health/check/stop", token), http.StatusSeeOther, "stopping")
	if got := b.done(task.Check); !strings.Contains(got.text, "Stopped.") {
		t.Errorf("it says %s", got.text)
	}
	b.press("/health/check", token)
}

// TestHealthForLooking: nothing is begun from a page that is for looking only, and it
// says so in place of the buttons.
func TestHealthForLooking(t *testing.T) {
	b, owner := sick(t, Options{ReadOnly: true})
	got := b.get("/health")
	b.want(got, http.StatusOK, "the page")
	if strings.Contains(got.text, `action="/health`) || !strings.Contains(got.text, "A repair is not begun from a page that is for looking only") {
		t.Error("the page has buttons, or does not say why not")
	}
	for _, kind := range examining {
		b.want(b.press("/health/"+kind, "any"), http.StatusForbidden, kind)
	}
	if len(owner.repairs) > 0 || b.s.taskOf(task.Check) != nil {
		t.Error("something was begun")
	}
}

// Log gives 100,000 commits, as long as somebody reads them.
func (o *sickOwner) Log(ctx context.Context, r control.LogRequest, commit func(control.LogCommit)) (control.LogReport, error) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range uint64(100_000) {
		if ctx.Err() != nil {
			return control.LogReport{}, ctx.Err()
		}
		if c := at.Add(time.Duration(i) * time.Minute); !c.Before(r.Since) {
			o.told++
			commit(control.LogCommit{Time: c, Seq: i + 1, Name: hostile, Condemn: []control.LogSum{{What: hostile, Objects: 1}}})
		}
	}
	return control.LogReport{}, nil
}

var nextPage = regexp.MustCompile(`href="(/log\?since=[^"]*)"`)

// TestVerifyCommands: the page gives the commands of FORMAT.md, which are tested.
func TestVerifyCommands(t *testing.T) {
	b, _ := sick(t, Options{})
	format, err := os.ReadFile("../../FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(format), "set -e\nkey() {")
	text, _, found := strings.Cut(text, "\n```")
	if !found || !strings.Contains(html.UnescapeString(b.get("/log").text), text) {
		t.Error("the commands are others")
	}
}

// TestLog goes through a long log by its pages: each begins where the one before ended,
// and no more is read for it than it shows.
func TestLog(t *testing.T) {
	b, owner := sick(t, Options{})
	at := "/log?since=2026-01-01"
	for page := range 3 {
		owner.told = 0
		got := b.get(at)
		b.want(got, http.StatusOK, at)
		for _, n := range []int{1, logPage} {
			if want := fmt.Sprintf("commit %d<", page*logPage+n); !strings.Contains(got.text, want) {
				t.Errorf("%s has no %s", at, want)
			}
		}
		if strings.Contains(got.text, "<script>alert") || strings.Count(got.text, "<li><time") != logPage {
			t.Errorf("%s has %d commits, or HTML of a name as such", at, strings.Count(got.text, "<li><time"))
		}
		if owner.told > logPage+1 {
			t.Errorf("%d commits were read for %s", owner.told, at)
		}
		next := nextPage.FindStringSubmatch(got.text)
		if next == nil {
			t.Fatal("there is no page after")
		}
		at = html.UnescapeString(next[1])
	}
}
