package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/internal/home"
)

// mountType is the type of our mounts in the mount table.
const mountType = "fuse.tunesafe"

// unmountedMode is that of a mount point while nothing is mounted, so that
// programs do not fill the empty folder when the drive is away.
const unmountedMode = 0o500

// mountPoint is a folder ready to be mounted on. Its descriptor leads to the
// folder itself, also when the drive lies over it.
type mountPoint struct {
	path   string // absolute, without symbolic links
	folder *os.File
	mode   fs.FileMode
	own    bool // its mode is ours to change
}

// openMountPoint checks a mount point. A mount that was left by a process that
// was killed is taken away first.
func openMountPoint(dir string, h home.Home) (*mountPoint, error) {
	path, err := resolve(dir)
	if err != nil {
		return nil, err
	}
	if within(path, string(h)) {
		return nil, fmt.Errorf("%s %w", path, errInHome)
	}
	if err := clearStale(path); err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: %w", path, errNoMountPoint)
	case err != nil:
		return nil, err
	case !info.IsDir():
		return nil, fmt.Errorf("%s %w", path, errNotFolder)
	}
	if m, err := mountedAt(path); err != nil {
		return nil, err
	} else if m != "" {
		return nil, fmt.Errorf("%s: %w", path, errMounted)
	}
	p := &mountPoint{path: path, mode: info.Mode().Perm(), own: owns(info)}
	if p.folder, err = os.Open(path); err != nil {
		return nil, fmt.Errorf("%w: %w", errMountDenied, err)
	}
	return p, p.checkEmpty()
}

func (p *mountPoint) checkEmpty() error {
	_, err := p.folder.Readdirnames(1)
	if errors.Is(err, io.EOF) {
		return nil
	}
	p.Close()
	if err != nil {
		return err
	}
	return fmt.Errorf("%s: %w", p.path, errNotEmpty)
}

// open makes the folder writable, as fusermount3 mounts only on what its caller
// may write to.
func (p *mountPoint) open() error {
	if p.own && p.mode&0o200 == 0 {
		return p.folder.Chmod(0o700)
	}
	if !p.own && os.Geteuid() != 0 && unix.Access(p.path, unix.W_OK) != nil {
		return fmt.Errorf("%s: %w", p.path, errMountDenied)
	}
	return nil
}

// seal takes the right to write from the folder, below the drive.
func (p *mountPoint) seal() error {
	if !p.own {
		return nil
	}
	return p.folder.Chmod(unmountedMode)
}

// restore gives the folder the mode it had, after a mount that failed.
func (p *mountPoint) restore() error {
	if !p.own {
		return nil
	}
	return p.folder.Chmod(p.mode)
}

// Close gives up the folder. Its mode stays.
func (p *mountPoint) Close() error { return p.folder.Close() }

func owns(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}

// resolve makes a mount point's name absolute and free of symbolic links. The
// last element is not looked at if that fails, as it may be a stale mount.
func resolve(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		return real, nil
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return abs, nil // it does not exist; whoever uses it says so
	}
	return filepath.Join(parent, filepath.Base(abs)), nil
}

// mountedAt gives the type of the file system mounted at path, "" if none is.
func mountedAt(path string) (string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	defer f.Close()
	kind := ""
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() { // the last of several at one place is the one seen
		if at, is := parseMount(lines.Text()); at == path {
			kind = is
		}
	}
	return kind, lines.Err()
}

// drivesMounted lists where drives of this program are mounted, of whatever home.
func drivesMounted() (dirs []string) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) {
		if path, kind := parseMount(line); kind == "fuse.tunesafe" {
			dirs = append(dirs, path)
		}
	}
	return dirs
}

// parseMount takes place and type from a line of mountinfo, proc(5).
func parseMount(line string) (path, kind string) {
	before, after, ok := strings.Cut(line, " - ")
	fields := strings.Fields(before)
	types := strings.Fields(after)
	if !ok || len(fields) < 5 || len(types) == 0 {
		return "", ""
	}
	return unescapeMount(fields[4]), types[0]
}

// unescapeMount undoes the octal escapes of blanks and backslashes.
func unescapeMount(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// stale tells whether path is a mount of ours whose process is gone. It asks for
// what the kernel does not remember: it knows the attributes for much longer.
func stale(path string) bool {
	var space unix.Statfs_t
	err := unix.Statfs(path, &space)
	if !errors.Is(err, unix.ENOTCONN) && !errors.Is(err, unix.ECONNABORTED) {
		return false
	}
	kind, err := mountedAt(path)
	return err == nil && kind == mountType
}

// clearStale takes stale mounts away from path.
func clearStale(path string) error {
	for stale(path) {
		if err := detach(path); err != nil {
			return fmt.Errorf("stale mount %s: %w", path, err)
		}
	}
	return nil
}

// detach unmounts whatever programs still use: they keep what they have open,
// nobody new gets in.
func detach(path string) error {
	if os.Geteuid() == 0 {
		return unix.Unmount(path, unix.MNT_DETACH)
	}
	program, err := exec.LookPath("fusermount3")
	if err != nil {
		return fmt.Errorf("%w: %w", errNoFUSE, err)
	}
	unmount := exec.Command(program, "-u", "-z", path)
	unmount.Env = childEnv()
	out, err := unmount.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w", strings.TrimSpace(string(out)), err)
	}
	return nil
}

// checkFUSE tells early and clearly what a mount would fail by.
func checkFUSE(allowOther bool) error {
	root := os.Geteuid() == 0
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0) // fusermount3 does it as its caller, too
	switch {
	case err == nil:
		f.Close()
	case !root && errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %w", errFUSEDenied, err)
	default:
		return fmt.Errorf("%w: %w", errNoFUSE, err)
	}
	if root {
		return nil
	}
	if _, err := exec.LookPath("fusermount3"); err != nil {
		return fmt.Errorf("%w: %w", errNoFUSE, err)
	}
	if allowOther && !othersAllowed("/etc/fuse.conf") {
		return errAllowOther
	}
	return nil
}

// othersAllowed looks for user_allow_other, mount.fuse3(8). A file that cannot
// be read is left to fusermount3.
func othersAllowed(conf string) bool {
	text, err := os.ReadFile(conf)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	for line := range strings.Lines(string(text)) {
		if strings.TrimSpace(line) == "user_allow_other" {
			return true
		}
	}
	return false
}
