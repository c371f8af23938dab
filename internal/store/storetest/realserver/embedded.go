package realserver

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"

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
	return start(t, "/", EmbeddedCommand)
}

// EmbeddedCommand returns the command that serves dir at addr as [StartEmbedded]
// does, for a test that runs it under another program such as strace.
func EmbeddedCommand(addr, dir string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childAddr+"="+addr, childDir+"="+dir)
	return cmd
}
