package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/pflag"
)

var logsCommand = &command{
	name:    "logs",
	summary: "print the log of the process that serves the drive",
	text: `Prints the end of the log of the process in the background. With -f it goes on
as the log grows, until interrupted.`,
	bind: bindLogs,
}

// followPause is between looks at a log that is followed.
const followPause = 250 * time.Millisecond

func bindLogs(f *pflag.FlagSet) action {
	follow := f.BoolP("follow", "f", false, "go on as the log grows")
	lines := f.IntP("lines", "n", 100, "print the last `N` lines; 0 prints all")
	return func(ctx context.Context, e *env, args []string) error {
		if err := want(args, 0, 0, ""); err != nil {
			return err
		}
		if err := e.home.Check(); err != nil {
			return err
		}
		log, err := os.Open(e.home.LogFile())
		if errors.Is(err, fs.ErrNotExist) && !*follow {
			fmt.Fprintln(e.stderr, "the log is empty")
			return nil
		}
		if err == nil {
			err = tail(e.stdout, log, *lines)
		}
		if *follow && (err == nil || errors.Is(err, fs.ErrNotExist)) {
			return followLog(ctx, e, log)
		}
		return err
	}
}

// tail copies the last n lines, and leaves log at its end.
func tail(w io.Writer, log *os.File, n int) error {
	var last []string
	in := bufio.NewReader(log)
	for {
		line, err := in.ReadString('\n')
		if line != "" {
			last = append(last, line)
		}
		if n > 0 && len(last) > n {
			last = last[1:]
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	for _, line := range last {
		if _, err := io.WriteString(w, line); err != nil {
			return err
		}
	}
	return nil
}

// followLog copies what is added to the log, also after it was put aside for a
// new one. log may be nil.
func followLog(ctx context.Context, e *env, log *os.File) error {
	defer func() { log.Close() }()
	for {
		if log != nil {
			if _, err := io.Copy(e.stdout, log); err != nil {
				return err
			}
		}
		if replaced(log, e.home.LogFile()) {
			log.Close()
			log, _ = os.Open(e.home.LogFile())
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followPause):
		}
	}
}

// replaced tells whether the file of that name is another than log.
func replaced(log *os.File, name string) bool {
	now, err := os.Stat(name)
	if err != nil {
		return false
	}
	if log == nil {
		return true
	}
	before, err := log.Stat()
	return err == nil && !os.SameFile(before, now)
}
