package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/home"
	"github.com/tunesafe/tunesafe/internal/store"
)

// follows tells which rule a message breaks: one line, no capital at its
// beginning, no full stop at its end.
func follows(text string) error {
	switch first, _, _ := strings.Cut(text, " "); {
	case text == "":
		return errors.New("is empty")
	case strings.Contains(text, "\n"):
		return errors.New("has several lines")
	case strings.HasSuffix(text, "."):
		return errors.New("ends with a full stop")
	case first != strings.ToLower(first) && first != strings.ToUpper(first):
		return errors.New("begins with a capital")
	}
	return nil
}

func TestMessagesFollowTheRules(t *testing.T) {
	for _, m := range messages {
		for _, text := range []string{m.is.Error(), m.hint} {
			if err := follows(text); err != nil {
				t.Errorf("%q %v", text, err)
			}
		}
	}
	for _, c := range commands() {
		if err := follows(c.summary); err != nil {
			t.Errorf("summary of %s %v", c.name, err)
		}
	}
}

func TestExplain(t *testing.T) {
	refused := &net.OpError{Op: "dial", Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9},
		Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	for _, c := range []struct {
		err  error
		text string
		exit int
	}{
		{fmt.Errorf("bucket music: %w: operation error S3: HeadBucket, RequestID: 7", store.ErrDenied), "bucket music: access denied", 1},
		{fmt.Errorf("bucket music: %w: %w", store.ErrUnavailable, refused), "bucket music: store unavailable: 127.0.0.1:9: connection refused", 1},
		{fmt.Errorf("pull: %w: %w", store.ErrUnavailable, &net.DNSError{Name: "nas.local"}), "pull: store unavailable: no address of nas.local", 1},
		{fmt.Errorf("read: %w", context.Canceled), "interrupted", 1},
		{fmt.Errorf("config.toml: %w: line 3", home.ErrConfig), "config.toml: malformed configuration: line 3", 1},
		{&home.BusyError{Home: "/h", PID: 7}, "/h is in use by process 7", 1},
		{&usageError{"mount", "DIR is missing"}, "DIR is missing", 2},
		{fmt.Errorf("2 files still waiting: %w", errTimeout), "2 files still waiting: not everything is safe yet", 3},
		{fmt.Errorf("wrapped: %w", &control.Fault{Text: "as it came", Exit: 3}), "as it came", 3},
		{errors.New("two\nlines"), "two lines", 1},
	} {
		if f := explain(c.err); f.Text != c.text || f.Exit != c.exit {
			t.Errorf("%v: %q, %d; want %q, %d", c.err, f.Text, f.Exit, c.text, c.exit)
		}
	}
}

func TestReport(t *testing.T) {
	var b bytes.Buffer
	if code := report(&b, fmt.Errorf("/m: %w", errNotEmpty)); code != exitFailed {
		t.Error(code)
	}
	want := "error: /m: the folder is not empty\nhint: name an empty folder; what is in this one would be hidden by the drive\n"
	if b.String() != want {
		t.Errorf("%q", b.String())
	}
	if code := report(&b, nil); code != exitOK {
		t.Error(code)
	}
}
