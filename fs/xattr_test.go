package fs

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pkg/xattr"
	"golang.org/x/sys/unix"
)

func TestXattr(t *testing.T) {
	inBoth(t, func(t *testing.T, dir string) {
		path := filepath.Join(dir, "f")
		check(t, os.WriteFile(path, nil, 0o644))
		set := func(name string, flags int) error { return unix.Setxattr(path, name, []byte("value"), flags) }
		get := func(name string, size int) (int, error) { return unix.Getxattr(path, name, make([]byte, size)) }

		if err := set("user.a", unix.XATTR_REPLACE); err != unix.ENODATA {
			t.Errorf("XATTR_REPLACE of nothing: %v", err)
		}
		check(t, set("user.a", unix.XATTR_CREATE))
		if err := set("user.a", unix.XATTR_CREATE); err != unix.EEXIST {
			t.Errorf("XATTR_CREATE of something: %v", err)
		}
		check(t, set("user.a", unix.XATTR_REPLACE), set("user.a", 0))

		if n, err := get("user.a", 0); n != 5 || err != nil {
			t.Errorf("size: %d, %v", n, err)
		}
		if _, err := get("user.a", 4); err != unix.ERANGE {
			t.Errorf("too small a buffer: %v", err)
		}
		if n, err := get("user.a", 64); n != 5 || err != nil {
			t.Errorf("larger buffer: %d, %v", n, err)
		}
		if n, err := unix.Listxattr(path, nil); n != len("user.a\x00") || err != nil {
			t.Errorf("size of the list: %d, %v", n, err)
		}
		if _, err := unix.Listxattr(path, make([]byte, 3)); err != unix.ERANGE {
			t.Errorf("too small a buffer for the list: %v", err)
		}
		large := strings.Repeat("x", 60000)
		check(t, xattr.Set(path, "user.large", []byte(large)))
		if got, err := xattr.Get(path, "user.large"); err != nil || string(got) != large {
			t.Errorf("a large value: %d bytes, %v", len(got), err)
		}
		check(t, unix.Removexattr(path, "user.a"))
		if _, err := get("user.a", 9); err != unix.ENODATA {
			t.Errorf("after removing: %v", err)
		}

		for _, name := range []string{"security.capability", "security.selinux", "system.posix_acl_access"} {
			if _, err := get(name, 64); err != unix.EOPNOTSUPP {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := set("security.other", 0); err != unix.EOPNOTSUPP && (os.Geteuid() == 0 || err != unix.EPERM) {
			t.Errorf("setting a security attribute: %v", err)
		}
	})
}

func TestState(t *testing.T) {
	inBoth(t, func(t *testing.T, dir string) {
		path := filepath.Join(dir, "f")
		check(t, os.WriteFile(path, []byte("song"), 0o644))
		for _, p := range []string{path, dir} {
			if got, err := xattr.Get(p, StateXattr); err != nil || len(got) == 0 {
				t.Errorf("state of %s: %q, %v", p, got, err)
			}
			if names, err := xattr.List(p); err != nil || slices.Contains(names, StateXattr) {
				t.Errorf("listed: %q, %v", names, err)
			}
			if err := unix.Setxattr(p, StateXattr, []byte("safe"), 0); err != unix.EPERM {
				t.Errorf("setting: %v", err)
			}
			if err := unix.Removexattr(p, StateXattr); err != unix.EPERM {
				t.Errorf("removing: %v", err)
			}
		}
		if got, err := xattr.Get(path, StateXattr); err != nil || string(got) != "local" {
			t.Errorf("a new file is %q, %v; want local", got, err)
		}
	})
}
