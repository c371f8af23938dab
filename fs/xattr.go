package fs

import (
	"strings"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// StateXattr is the attribute that says how safe a file is. It can be read by
// name on every inode that may have user attributes, and is not listed, so
// copying a file's attributes does not copy it.
const StateXattr = "user.tunesafe.state"

// refusal is why attributes of this name are not kept, 0 if they are: those of
// users, and trusted ones, for which the kernel asks for CAP_SYS_ADMIN. The others
// are not supported: rights are modes and owners here, and who asks for
// capabilities, labels or POSIX ACLs of every file, as ls does, then asks once.
func refusal(attr string) syscall.Errno {
	space, name, ok := strings.Cut(attr, ".")
	switch {
	case !ok || space != "user" && space != "trusted":
		return syscall.EOPNOTSUPP
	case name == "":
		return syscall.EINVAL
	}
	return 0
}

func (n *node) Getxattr(attr string, dest []byte) (uint32, syscall.Errno) {
	if attr == StateXattr {
		state, err := n.d.c.State(n.ino())
		if err != nil {
			return 0, n.errno("getxattr", err)
		}
		return sized(dest, []byte(state))
	}
	if no := refusal(attr); no != 0 {
		return 0, no
	}
	value, err := n.d.c.GetXattr(n.ino(), attr)
	if err != nil {
		return 0, n.errno("getxattr", err)
	}
	return sized(dest, value)
}

// sized answers with a value, or with its size and ERANGE where dest is too
// small. go-fuse makes that a success where only the size was asked for.
func sized(dest, value []byte) (uint32, syscall.Errno) {
	if len(value) > len(dest) {
		return uint32(len(value)), syscall.ERANGE
	}
	return uint32(copy(dest, value)), 0
}

func (n *node) Setxattr(attr string, data []byte, flags uint32) syscall.Errno {
	if attr == StateXattr {
		return syscall.EPERM
	}
	if no := refusal(attr); no != 0 {
		return no
	}
	return n.errno("setxattr", n.d.c.SetXattr(n.ino(), attr, data,
		flags&unix.XATTR_CREATE != 0, flags&unix.XATTR_REPLACE != 0))
}

// Listxattr shows trusted attributes to root only, as xattr(7) has it.
func (n *node) Listxattr(caller fuse.Caller, dest []byte) (uint32, syscall.Errno) {
	names, err := n.d.c.ListXattr(n.ino())
	if err != nil {
		return 0, n.errno("listxattr", err)
	}
	return sized(dest, xattrList(names, caller))
}

func xattrList(names []string, caller fuse.Caller) (list []byte) {
	root := caller.Uid == 0
	for _, name := range names {
		if name == StateXattr || !root && strings.HasPrefix(name, "trusted.") {
			continue
		}
		list = append(list, name...)
		list = append(list, 0)
	}
	return list
}

func (n *node) Removexattr(attr string) syscall.Errno {
	if attr == StateXattr {
		return syscall.EPERM
	}
	if no := refusal(attr); no != 0 {
		return no
	}
	return n.errno("removexattr", n.d.c.RemoveXattr(n.ino(), attr))
}
