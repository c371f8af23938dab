package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/tunesafe/tunesafe/internal/agent"
	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/home"
	"github.com/tunesafe/tunesafe/internal/machine"
	"github.com/tunesafe/tunesafe/internal/schedule"
	"github.com/tunesafe/tunesafe/internal/web"
)

// agentText is what agent and install have in common.
const agentText = `A window is given as 22:00-06:00, or mon-fri 22:00-06:00, or sat,sun 00:00-24:00, in
local time, and may be given again; without any it works at all hours. It is open
while the clock on the wall shows a time in it, also in the nights on which clocks
change. Outside the windows nothing is uploaded or scanned, unless the limit names a
rate for that: --limit-upload "0,outside 100kB/s". What programs fetch from the drive is
fetched at any hour. A limit is in bytes a second, such as 2MB/s, or 16Mbit/s; 8kB/s is
the lowest.

Below the limit it gives way by itself: when the round trip to the store becomes a
tenth of a second longer than it was at best, somebody else needs the line, and it sends
half as much within a second, again and again, and slowly more once they are done. It
runs with nice 19 and the idle class of the disk, or, while it shows the drive, from
which somebody may be playing music, with nice 10. With --when-idle it works while
other programs use less than a quarter of the processors and, where a desktop tells,
nobody is at the machine; with --on-mains not on battery.`

var agentCommand = &command{
	name:    "agent",
	summary: "back up by itself: at night, quietly, when something changes",
	text: `Backs up the folders that tunesafe backup was told of, by itself. It watches them: some
time after the last change in one, the folder is backed up. As watching misses things,
all are scanned once a day, and when a window opens or the machine wakes up. It uploads
what is on the drive, too, and shows the drive itself with --mount; it is then what
tunesafe mount would start.

` + agentText + `

Each night, once everything is safe, it reads a part of the store, what was read the
longest ago, to see whether it is still whole: one thirtieth, or what --check says; and one
ninetieth of the folders, to see whether this disk still has what it had. Once a month it rehearses a restore: see tunesafe help rehearse.

Its page in the browser is at http://127.0.0.1:8863/, at each login again, or at another port
if that was taken (tunesafe status says where); tunesafe web prints a link that lets a browser
in. --web names another address, or never.

It tells a person, by the desktop or else by its log, only what needs one, once: that
nothing was backed up for a week, that something looks like a disaster and is held,
that something in the store is damaged or a rehearsal failed, or that the bucket refuses. tunesafe pause, resume and run-now steer it. What is not given
here is as tunesafe install left it in the home's config.toml. It stays in the
background until it is told to end (SIGTERM).`,
	bind: bindAgent,
}

// agentPlan is what an agent was told to do.
type agentPlan struct {
	home.Agent
	settings agent.Settings
	check    *control.CheckPart // of the store, each night; nil: never

	readAgain int // one such part of the folders each night; 0: never
}

// hoursPerDay is in how many hours it uploads; a process without a plan always does.
func (p *agentPlan) hoursPerDay() float64 {
	if p == nil || p.settings.Upload.HasOutside {
		return 24
	}
	return p.settings.Windows.HoursPerDay()
}

// The defaults of an agent.
const (
	defaultScanEvery = 24 * time.Hour
	defaultWarnDays  = 7
	defaultCheckPart = 30 // one such part a night
	never            = "never"

	defaultReadAgain    = 90
	defaultRehearseDays = 30
	defaultPruneDays    = 7
)

// agentFlags binds the flags that agent and install share; the function returned
// puts those that were given over what the home has.
func agentFlags(f *pflag.FlagSet) (over func(home.Agent) home.Agent) {
	var a home.Agent
	f.StringVar(&a.Mount, "mount", "", "show the drive at the empty folder `DIR`; \"\" for nowhere")
	f.StringArrayVar(&a.Windows, "window", nil, "work between two `TIMES`, such as 22:00-06:00; may be given again")
	f.StringVar(&a.LimitUpload, "limit-upload", "", "send at most so many bytes a second, a `RATE` or \"RATE,outside RATE\"")
	f.StringVar(&a.LimitDownload, "limit-download", "", "receive at most so many bytes a second, a `RATE` or \"RATE,outside RATE\"")
	f.StringVar(&a.Web, "web", "", fmt.Sprintf("show the page at the `ADDRESS`, or never (default as tunesafe web --keep was told, else 127.0.0.1:%d)", web.DefaultPort))
	f.BoolVar(&a.WhenIdle, "when-idle", false, "only while nobody uses the machine")
	f.BoolVar(&a.OnMains, "on-mains", false, "not on battery")
	f.StringVar(&a.ScanEvery, "scan-every", "", "scan all folders so often, such as 12h (default 24h)")
	f.StringVar(&a.AfterChange, "after-change", "", "back up a folder that was left alone for a `TIME` (default 30s)")
	f.IntVar(&a.WarnAfterDays, "warn-after-days", 0, "tell when nothing was backed up for so many `DAYS`; below 0 never (default 7)")
	f.StringVar(&a.Check, "check", "", "read so much of the store each night, as `PART`, size or money: 1/30, 500MB, 0.05USD, never (default 1/30, for 0.02 at most where reading is paid for)")
	f.StringVar(&a.VerifyFolders, "verify-folders", "", "read such a `PART` of the folders again each night, or never (default 1/90)")
	f.IntVar(&a.RehearseDays, "rehearse-days", 0, "rehearse a restore every so many `DAYS`; below 0 never (default 30)")
	f.IntVar(&a.PruneDays, "prune-days", 0, "delete what is no longer needed every so many `DAYS`; below 0 never (default 7)")
	return func(old home.Agent) home.Agent {
		for name, take := range map[string]func(){
			"mount":           func() { old.Mount = a.Mount },
			"window":          func() { old.Windows = a.Windows },
			"limit-upload":    func() { old.LimitUpload = a.LimitUpload },
			"limit-download":  func() { old.LimitDownload = a.LimitDownload },
			"web":             func() { old.Web = a.Web },
			"when-idle":       func() { old.WhenIdle = a.WhenIdle },
			"on-mains":        func() { old.OnMains = a.OnMains },
			"scan-every":      func() { old.ScanEvery = a.ScanEvery },
			"after-change":    func() { old.AfterChange = a.AfterChange },
			"warn-after-days": func() { old.WarnAfterDays = a.WarnAfterDays },
			"check":           func() { old.Check = a.Check },
			"verify-folders":  func() { old.VerifyFolders = a.VerifyFolders },
			"rehearse-days":   func() { old.RehearseDays = a.RehearseDays },
			"prune-days":      func() { old.PruneDays = a.PruneDays },
		} {
			if f.Changed(name) {
				take()
			}
		}
		return old
	}
}

// planOf understands what an agent was told.
func planOf(a home.Agent) (*agentPlan, error) {
	p := &agentPlan{Agent: a, settings: agent.Settings{Watch: true, ScanEvery: defaultScanEvery, WhenIdle: a.WhenIdle, OnMains: a.OnMains}}
	s := &p.settings
	var err error
	if s.Windows, err = schedule.ParseAll(a.Windows); err != nil {
		return nil, misuse("--window %v", err)
	}
	for _, limit := range []struct {
		flag, text string
		to         *schedule.Rates
	}{{"--limit-upload", a.LimitUpload, &s.Upload}, {"--limit-download", a.LimitDownload, &s.Download}} {
		if limit.text == "" {
			continue
		}
		if *limit.to, err = schedule.ParseRates(limit.text); err != nil {
			return nil, misuse("%s %v", limit.flag, err)
		}
		for _, rate := range []int64{limit.to.Inside, limit.to.Outside} {
			if rate > 0 && rate < slowestLimit {
				return nil, misuse("%s %s is too little: below 8kB/s a server gives up", limit.flag, limit.text)
			}
		}
	}
	for _, span := range []struct {
		flag, text string
		to         *time.Duration
	}{{"--scan-every", a.ScanEvery, &s.ScanEvery}, {"--after-change", a.AfterChange, &s.Quiet}} {
		if span.text == "" {
			continue
		}
		if *span.to, err = time.ParseDuration(span.text); err != nil || *span.to <= 0 {
			return nil, misuse("%s %q is no time; write it as 12h", span.flag, span.text)
		}
	}
	if p.check, err = parseCheck(a.Check); err != nil {
		return nil, err
	}
	switch a.VerifyFolders {
	case "":
		p.readAgain = defaultReadAgain
	case never:
	default:
		if p.readAgain, err = parsePart(a.VerifyFolders); err != nil {
			return nil, err
		}
	}
	switch days := a.WarnAfterDays; {
	case days == 0:
		s.WarnAfter = defaultWarnDays * 24 * time.Hour
	case days > 0:
		s.WarnAfter = time.Duration(days) * 24 * time.Hour
	}
	return p, nil
}

// parseCheck reads how much of the store an agent reads each night.
func parseCheck(text string) (*control.CheckPart, error) {
	p := &control.CheckPart{Part: defaultCheckPart}
	var err error
	switch {
	case text == "":
	case text == never:
		return nil, nil
	case strings.Contains(text, "/"):
		p.Part, err = parsePart(text)
	default:
		p.Part = 0
		err = parseBudget(text, p)
	}
	return p, err
}

// slowestLimit in bytes a second: at less, some connections at once are so slow
// that a server gives them up.
const slowestLimit = 8000

func bindAgent(f *pflag.FlagSet) action {
	over := agentFlags(f)
	var o mountOptions
	o.bind(f)
	return func(ctx context.Context, e *env, args []string) error {
		if err := want(args, 0, 0, ""); err != nil {
			return err
		}
		if err := o.check(f); err != nil {
			return err
		}
		c, err := e.home.Config()
		if err != nil {
			return err
		}
		kept := home.Agent{}
		if c.Agent != nil {
			kept = *c.Agent
		}
		plan, err := planOf(over(kept))
		if err != nil {
			return err
		}
		return runAgent(ctx, e, life{mount: o, agent: plan}, again(f))
	}
}

// again repeats the flags that were given.
func again(f *pflag.FlagSet) (args []string) {
	f.Visit(func(flag *pflag.Flag) {
		values := []string{flag.Value.String()}
		if list, ok := flag.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		for _, v := range values {
			args = append(args, "--"+flag.Name+"="+v)
		}
	})
	return args
}

func runAgent(ctx context.Context, e *env, l life, flags []string) error {
	if l.agent.Mount != "" {
		var err error
		if l.dir, err = resolve(l.agent.Mount); err != nil {
			return err
		}
	}
	o := l.mount
	switch {
	case o.readyFD >= 0:
		s := pipeStarter(o.readyFD)
		err := serveAgent(ctx, e, l, s, e.stderr)
		s.end(err)
		return err
	case os.Getenv("NOTIFY_SOCKET") != "": // a service: the journal gets what ended it
		log, err := e.home.OpenLog()
		if err != nil {
			return err
		}
		defer log.Close()
		return serveAgent(ctx, e, l, &starter{}, log)
	case o.foreground:
		p := newProgress(e.stderr)
		defer p.clear()
		return serveAgent(ctx, e, l, screenStarter(p), e.stderr)
	}
	if err := checkLife(ctx, e.home, l); err != nil {
		return agentBusy(ctx, e.home, err)
	}
	args := append([]string{"agent"}, flags...)
	args = append(args, "--home", string(e.home), fmt.Sprintf("--%s=%d", readyFlag, readyDescriptor))
	if err := startBackground(ctx, e.home, args, newProgress(e.stderr)); err != nil {
		return err
	}
	fmt.Fprintln(e.stdout, "the agent works in the background; tunesafe status shows what it does")
	return nil
}

// serveAgent is the life of an agent, at the end of every queue of the machine.
func serveAgent(ctx context.Context, e *env, l life, s *starter, logTo io.Writer) error {
	modesty := machine.Quiet
	if l.dir != "" {
		modesty = machine.Serving
	}
	if err := machine.Yield(modesty); err != nil {
		newLog(logTo, false).Warn("works at the usual priority", "err", err)
	}
	return agentBusy(ctx, e.home, serveHome(ctx, e, l, s, logTo))
}

// agentBusy says what to do where a mount owns the home.
func agentBusy(ctx context.Context, h home.Home, err error) error {
	busy, ok := errors.AsType[*home.BusyError](err)
	if !ok {
		return err
	}
	client, derr := control.Dial(ctx, h.RunDir())
	if derr != nil {
		return err
	}
	s, serr := client.Status(ctx)
	switch {
	case serr != nil:
		return err
	case s.Agent != nil && s.Agent.Runs:
		return fmt.Errorf("process %d: %w", busy.PID, errAgentRuns)
	case len(s.Mounts) > 0:
		return &control.Fault{
			Text: fmt.Sprintf("the drive is mounted at %s by process %d, which is no agent", s.Mounts[0].Dir, s.PID),
			Hint: fmt.Sprintf("tunesafe unmount %s, and then tunesafe agent --mount %s", s.Mounts[0].Dir, s.Mounts[0].Dir),
			Exit: exitFailed,
		}
	}
	return err
}
