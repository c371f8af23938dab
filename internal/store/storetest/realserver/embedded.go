package realserver

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/internal/s3server"
)

// With these in its environment a test's binary is the embedded server instead
// of the tests.
const (
	childAddr = "TUNESAFE_TEST_S3SERVER_ADDR"
	childDir  = "TUNESAFE_TEST_S3SERVER_DIR"
)

// The embedded server takes over its process's working directory, so it runs in
// a copy of the test's own binary. An init function makes that work in every
// package that imports this one.
func init() {
	if addr := os.Getenv(childAddr); addr != "" {
		os.Exit(serveChild(addr, os.Getenv(childDir)))
	}
}

func serveChild(addr, dir string) int {
	// Under strace the test is not the parent, and a killed strace lets go.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	err := s3server.Run(ctx, s3server.Config{
		Dir: dir, Listen: addr, AccessKey: accessKey, SecretKey: secretKey,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// StartEmbedded starts Tunesafe's own server on an empty folder.
func StartEmbedded(t testing.TB) *Server {
	t.Helper()
	return start(t, t.TempDir(), "/", embeddedCommand)
}

// StartEmbeddedUnder starts it under another program, such as strace, that runs
// the command given behind its own arguments.
func StartEmbeddedUnder(t testing.TB, program string, args ...string) *Server {
	t.Helper()
	return start(t, t.TempDir(), "/", func(addr, dir string) *exec.Cmd {
		inner := embeddedCommand(addr, dir)
		cmd := exec.Command(program, append(args, inner.Path)...)
		cmd.Env = inner.Env
		return cmd
	})
}

func embeddedCommand(addr, dir string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childAddr+"="+addr, childDir+"="+dir)
	return cmd
}
