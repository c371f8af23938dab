package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/tunesafe/tunesafe/internal/control"
)

// figureOf is a group of rows about trees of many files, of which the homes are
// made by the cache itself.
type figureOf struct {
	name string
	run  func(ctx context.Context, b *bench, t table) error
}

func figures() []figureOf {
	return []figureOf{
		{"large tree", func(ctx context.Context, b *bench, t table) error { return b.largeTree(ctx, t) }},
		{"largest tree", func(ctx context.Context, b *bench, t table) error { return b.largestTree(ctx, t) }},
	}
}

// listing is a way to read a tree.
var listings = []struct {
	name string
	args []string
}{
	{"find", []string{"find"}},
	{"find, with types and times", []string{"find", "-newermt", "2000-01-01", "-size", "-1k"}},
	{"ls -lR", []string{"ls", "-lR"}},
}

// largeTree lists a tree whose files are all here, on the disk, by go-fuse's
// loopback and on a drive that knows it.
func (b *bench) largeTree(ctx context.Context, t table) error {
	w := work{name: "large tree"}
	for _, c := range b.columns[:3] {
		if err := makeTree(c.dir(w), b.names); err != nil {
			return err
		}
	}
	columns := b.columns[:3:3]
	var here *drive
	for _, c := range b.columns[3:] {
		d, err := b.newDrive(ctx, "large tree, "+c.name)
		if err != nil {
			return err
		}
		if err := plant(d.home, b.names, true); err != nil {
			return err
		}
		var flags []string
		if c.name == ownPlain {
			flags = []string{"--no-passthrough"}
		}
		if err := d.mount(ctx, flags...); err != nil {
			return err
		}
		columns, here = append(columns, column{c.name, d.at}), d
	}
	listed := &bench{options: b.options, columns: columns}
	for _, l := range listings {
		w := work{name: l.name, bars: []bar{{ownPass, native, 0.5}, {ownPlain, native, 0.5}},
			run: func(ctx context.Context, dir string, _ int) error {
				return discard(ctx, l.args[0], append([]string{filepath.Dir(dir)}, l.args[1:]...)...)
			}}
		// Twice before the clock: the second look is what a warm drive gives.
		for range 2 {
			for _, c := range columns {
				if err := w.run(ctx, c.dir(w), 0); err != nil {
					return err
				}
			}
		}
		w.name += fmt.Sprintf(" over %d files, warm", b.names)
		if err := listed.measure(ctx, w, t); err != nil {
			return err
		}
	}
	if err := b.memory(ctx, here, fmt.Sprintf("memory after listing %d files", b.names), 100, t); err != nil {
		return err
	}
	return b.coldStart(ctx, here, b.names, t)
}

// largestTree lists a drive of files that are known and not here.
func (b *bench) largestTree(ctx context.Context, t table) error {
	d, err := b.newDrive(ctx, "largest tree")
	if err != nil {
		return err
	}
	if err := plant(d.home, b.most, false); err != nil {
		return err
	}
	if err := d.mount(ctx); err != nil {
		return err
	}
	began := time.Now()
	if err := discard(ctx, "ls", "-lR", d.at); err != nil {
		return err
	}
	t.figure(fmt.Sprintf("first ls -lR over %d files", b.most), fmt.Sprintf("%.1f s", time.Since(began).Seconds()), true)
	if err := b.memory(ctx, d, fmt.Sprintf("memory after listing %d files", b.most), 250, t); err != nil {
		return err
	}
	return b.coldStart(ctx, d, b.most, t)
}

// coldStart mounts again, with nothing of the home in the kernel's caches, and
// says what that cost the process.
func (b *bench) coldStart(ctx context.Context, d *drive, files int, t table) error {
	if err := unmount(d.at); err != nil {
		return err
	}
	if err := d.awaitEnd(ctx); err != nil {
		return err
	}
	began := time.Now()
	if err := d.mount(ctx); err != nil {
		return err
	}
	wall := time.Since(began)
	cpu, err := d.cpuTime() // before anything is asked of it
	if err != nil {
		return err
	}
	t.figure(fmt.Sprintf("start of a drive of %d files", files), fmt.Sprintf("%.2f s, CPU %.2f s; bar for 100,000: 1 s of CPU", wall.Seconds(), cpu.Seconds()), cpu <= time.Second || files > 100_000)
	return nil
}

// memory prints the process's resident memory, now and at its highest.
func (b *bench) memory(ctx context.Context, d *drive, name string, limit float64, t table) error {
	pid, err := d.pid(ctx)
	if err != nil {
		return err
	}
	now, err := memoryOf(pid, "VmRSS")
	if err != nil {
		return err
	}
	anon, err := memoryOf(pid, "RssAnon")
	if err != nil {
		return err
	}
	peak, err := memoryOf(pid, "VmHWM")
	if err != nil {
		return err
	}
	t.figure(name, fmt.Sprintf("%.0f MiB, %.0f its own; peak %.0f, bar %.0f", now, anon, peak, limit), peak <= limit)
	return nil
}

// memoryOf reads a line of a process's status, in MiB.
func memoryOf(pid int, field string) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == field+":" {
			kib, err := strconv.ParseFloat(f[1], 64)
			return kib / 1024, err
		}
	}
	return 0, fmt.Errorf("no %s in the status of %d", field, pid)
}

// cpuTime is what the process that serves the drive has used.
func (d *drive) cpuTime() (time.Duration, error) {
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return 0, err
	}
	for _, line := range lines {
		args, err := os.ReadFile(line)
		if err != nil || !strings.HasSuffix(string(args), "\x00"+d.at+"\x00") {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(line)))
		if err != nil {
			return 0, err
		}
		return cpuOf(pid)
	}
	return 0, fmt.Errorf("no process serves %s", d.at)
}

// pid is the process that serves the drive; 0 if none does.
func (d *drive) pid(ctx context.Context) (int, error) {
	cmd := exec.CommandContext(ctx, d.program, "status", "--json")
	cmd.Env = append(os.Environ(), "TUNESAFE_HOME="+d.home)
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("status: %w", err)
	}
	var s control.Status
	err = json.Unmarshal(out, &s)
	return s.PID, err
}

// awaitEnd waits for the process that served the drive.
func (d *drive) awaitEnd(ctx context.Context) error {
	for end := time.Now().Add(patience); ; time.Sleep(pollEvery) {
		pid, err := d.pid(ctx)
		if err != nil || pid == 0 {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("process %d did not end", pid)
		}
	}
}

func discard(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, stderr.String())
	}
	return nil
}
