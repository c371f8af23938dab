// Package s3server is the S3 server inside Tunesafe: a folder on this machine
// served as buckets on loopback, so that the default set-up needs no account
// anywhere. The server is the VersityGW, embedded; this package adds the two
// things a backup needs and the gateway does not do: it syncs before it answers
// (see durable.go), and it refuses a filesystem it cannot work on.
//
// Layout: Dir/bucket/key, one file an object, its headers in user extended
// attributes. Files have mode 0600, folders 0700.
//
// What the gateway imposes on the process that runs it:
//
//   - One server at a time in one process; a second [Run] is an error.
//   - The working directory of the process becomes Dir and must stay so while
//     the server runs. Everything else in the process must use absolute paths.
//   - Internal errors are printed to standard error by the gateway itself.
//     Standard output is never written to.
package s3server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"

	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
	"github.com/versity/versitygw/s3api"
	"golang.org/x/sys/unix"
)

const (
	defaultRegion = "us-east-1"

	// A household's load is a few dozen connections; beyond these numbers the
	// gateway answers SlowDown, which clients retry.
	maxConnections = 4096
	maxRequests    = 1024
	maxParts       = 10000 // of a multipart upload, as AWS

	portTries = 5
)

var (
	// ErrRunning: this process already runs a server.
	ErrRunning = errors.New("an S3 server already runs in this process")
	// ErrNoXattr: the filesystem under Dir has no user extended attributes.
	ErrNoXattr = errors.New("the filesystem has no user extended attributes")
)

// Config says what to serve and where.
type Config struct {
	Dir    string // made with mode 0700 if missing
	Listen string // host:port; port 0 takes a free one, told to Ready

	AccessKey, SecretKey string // required; the only account
	Region               string // "" is us-east-1

	Ready func(addr string) // called once connections are accepted; may be nil
	Log   *slog.Logger      // may be nil
}

// running guards what cannot be had twice in a process: the working directory
// and the gateway's own globals.
var running atomic.Bool

// Run serves until ctx is done, then lets the requests under way finish (ten
// seconds at most) and returns nil. Any other end is an error.
func Run(ctx context.Context, c Config) error {
	if !running.CompareAndSwap(false, true) {
		return ErrRunning
	}
	defer running.Store(false)
	dir, err := prepare(c.Dir)
	if err != nil {
		return fmt.Errorf("s3 server: %w", err)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if err := serve(ctx, c, dir); err != nil {
		return fmt.Errorf("s3 server: %w", err)
	}
	return nil
}

// prepare makes the folder and returns its absolute name.
func prepare(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	return dir, probeXattr(dir)
}

// probeXattr writes an attribute, as reading one tells nothing on a filesystem
// that accepts names in general but not those of users.
func probeXattr(dir string) error {
	const name = "user.tunesafe.probe"
	err := unix.Setxattr(dir, name, []byte{1}, 0)
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%s: %w", dir, ErrNoXattr)
	}
	if err != nil {
		return fmt.Errorf("%s: extended attribute: %w", dir, err)
	}
	return unix.Removexattr(dir, name)
}

// serve runs the gateway. The gateway does not tell which port it got for 0,
// so a free one is picked first; should another process take it in between,
// the gateway fails to bind and the next one is tried.
func serve(ctx context.Context, c Config, dir string) error {
	for try := 1; ; try++ {
		addr, picked, err := pickAddr(c.Listen)
		if err != nil {
			return err
		}
		err = serveAt(ctx, c, dir, addr)
		if picked && try < portTries && errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		return err
	}
}

func pickAddr(listen string) (addr string, picked bool, err error) {
	_, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", false, err
	}
	if port != "0" {
		return listen, false, nil
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return "", false, err
	}
	return l.Addr().String(), true, l.Close()
}

func serveAt(ctx context.Context, c Config, dir, addr string) error {
	backend, err := newBackend(dir)
	if err != nil {
		return err
	}
	c.Log.Info("s3 server starts", "dir", dir, "addr", addr)
	err = embedgw.RunVersityGW(ctx, backend, gateway(c, addr))
	c.Log.Info("s3 server ended", "addr", addr, "err", err)
	return err
}

func newBackend(dir string) (*durable, error) {
	// One process owns the folder, so that locks within it are enough and no
	// lock files need be written.
	opts := posix.PosixOpts{ForceNoObjLockFile: true}
	opts.SetNewDirPerm(0o700)
	opts.SetNewFilePerm(0o600)
	p, err := posix.New(dir, meta.XattrMeta{}, opts)
	if err != nil {
		return nil, err
	}
	return &durable{Posix: p, root: dir}, nil
}

func gateway(c Config, addr string) *embedgw.Config {
	region := c.Region
	if region == "" {
		region = defaultRegion
	}
	return &embedgw.Config{
		RootUserAccess:    c.AccessKey,
		RootUserSecret:    c.SecretKey,
		Region:            region,
		Ports:             []string{addr},
		MaxConnections:    maxConnections,
		MaxRequests:       maxRequests,
		MultipartMaxParts: maxParts,
		Quiet:             true,
		KeepAlive:         true,
		// Given here because the gateway announces its own choice of it on
		// standard output.
		IAMService: auth.NewIAMServiceSingle(auth.Account{
			Access: c.AccessKey, Secret: c.SecretKey, Role: auth.RoleAdmin,
		}),
		S3Options: []s3api.Option{s3api.WithOnListen(func() {
			if c.Ready != nil {
				c.Ready(addr)
			}
		})},
	}
}
