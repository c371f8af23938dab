package cache

import (
	"errors"
	"maps"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/internal/crashpoint"
	"github.com/tunesafe/tunesafe/internal/kv"
)

// Limits of extended attributes, those of Linux (xattr(7)) and, for the sum,
// of the repository format.
const (
	maxXattrName  = 255
	maxXattrValue = 64 << 10
	maxXattrList  = 64 << 10 // all names, each with a zero byte, so that they can be listed
	maxXattrs     = 128 << 10
)

// Attr returns the attributes of an inode.
func (c *Cache) Attr(ino Ino) (Attr, error) {
	n, err := c.inode(ino)
	if err != nil {
		return Attr{}, err
	}
	if n.dirty() || n.TakenOpen {
		if !c.liveAttr(ino, n) {
			c.fromContent(ino, n)
		}
	}
	return n.attr(ino), nil
}

// liveAttr takes size and times of an open whole content from its descriptor; it
// reports false if there is none, also when it was closed just now.
func (c *Cache) liveAttr(ino Ino, n *inode) bool {
	f := c.peek(ino)
	if f == nil {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.live(n)
}

// SetAttr changes attributes and returns them as they are then.
func (c *Cache) SetAttr(ino Ino, ch Change) (Attr, error) {
	if err := c.readOnly(ino); err != nil {
		return Attr{}, err
	}
	if ch.Size != nil {
		if err := c.takeIn(ino); err != nil {
			return Attr{}, err
		}
		if err := c.truncate(ino, *ch.Size); err != nil {
			return Attr{}, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.begin()
	n, err := x.inode(ino)
	if err != nil {
		return Attr{}, err
	}
	c.fromContent(ino, n)
	was := n.Mtime.time()
	if ch.Mode != nil {
		n.Mode = n.Mode&unix.S_IFMT | *ch.Mode&0o7777
	}
	if ch.UID != nil {
		n.UID = *ch.UID
	}
	if ch.GID != nil {
		n.GID = *ch.GID
	}
	if ch.Atime != nil {
		n.Atime = stampOf(*ch.Atime)
	}
	if ch.Mtime != nil {
		n.Mtime = stampOf(*ch.Mtime)
	}
	n.Ctime = x.now
	if ch.Mode != nil || ch.UID != nil || ch.GID != nil || ch.Mtime != nil {
		x.wait(ino, n)
	}
	a := n.attr(ino)
	if ch.Mtime != nil {
		return a, x.applyTime(ino, was, *ch.Mtime)
	}
	return a, x.apply()
}

// applyTime is apply for a change of mtime, which the content has, too. It holds
// fmu throughout, as acquire does while it compares the two.
func (x *change) applyTime(ino Ino, was, now time.Time) error {
	x.c.fmu.Lock()
	defer x.c.fmu.Unlock()
	if err := x.c.setContentMtime(ino, now); err != nil {
		return err
	}
	crashpoint.At("attr.content")
	err := x.apply()
	if err != nil {
		err = errors.Join(err, x.c.setContentMtime(ino, was))
	}
	return err
}

// ClearSetID takes the setuid bit away, and the setgid bit of what its group may
// execute, as a write by someone without privilege does. It reports whether there
// were any.
func (c *Cache) ClearSetID(ino Ino) (cleared bool, err error) {
	n, err := c.inode(ino)
	if err != nil || n.withoutSetID() == n.Mode {
		return false, err
	}
	if err := c.readOnly(ino); err != nil {
		return false, err
	}
	return true, c.update(ino, func(x *change, n *inode) error {
		n.Mode = n.withoutSetID()
		x.touch(ino, n, false)
		return nil
	})
}

func (n *inode) withoutSetID() uint32 {
	mode := n.Mode &^ unix.S_ISUID
	if mode&unix.S_IXGRP != 0 {
		mode &^= unix.S_ISGID
	}
	return mode
}

// setContentMtime keeps the content file's own time that of the inode, as a
// dirty whole content is asked for it.
func (c *Cache) setContentMtime(ino Ino, t time.Time) error {
	err := setMtime(c.contentPath(ino), t)
	if err != nil && err != unix.ENOENT {
		return &os.PathError{Op: "utimensat", Path: c.contentPath(ino), Err: err}
	}
	return nil
}

func setMtime(path string, t time.Time) error {
	ts := unix.Timespec{Sec: t.Unix(), Nsec: int64(t.Nanosecond())} // UnixNano ends in 2262
	return unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{{Nsec: unix.UTIME_OMIT}, ts}, 0)
}

// GetXattr returns the value of an extended attribute.
func (c *Cache) GetXattr(ino Ino, key string) ([]byte, error) {
	n, err := c.inode(ino)
	if err != nil {
		return nil, err
	}
	v, ok := n.Xattrs[key]
	if !ok {
		return nil, ErrNoXattr
	}
	return v, nil
}

// ListXattr returns the names of the extended attributes, sorted.
func (c *Cache) ListXattr(ino Ino) ([]string, error) {
	n, err := c.inode(ino)
	return slices.Sorted(maps.Keys(n.Xattrs)), err
}

// SetXattr sets an extended attribute; create and replace are those of setxattr(2).
func (c *Cache) SetXattr(ino Ino, key string, value []byte, create, replace bool) error {
	if len(key) > maxXattrName || len(value) > maxXattrValue {
		return ErrXattrSize
	}
	if err := c.claimEvicting(smallRow); err != nil {
		return err
	}
	return c.changeXattr(ino, func(n *inode) error {
		_, ok := n.Xattrs[key]
		switch {
		case ok && create:
			return ErrExist
		case !ok && replace:
			return ErrNoXattr
		}
		if n.Xattrs == nil {
			n.Xattrs = map[string][]byte{}
		}
		n.Xattrs[key] = slices.Clone(value)
		sum, list := 0, 0
		for k, v := range n.Xattrs {
			sum += len(k) + len(v)
			list += len(k) + 1
		}
		return orNil(sum > maxXattrs || list > maxXattrList, ErrXattrSpace)
	})
}

// RemoveXattr removes an extended attribute.
func (c *Cache) RemoveXattr(ino Ino, key string) error {
	return c.changeXattr(ino, func(n *inode) error {
		if _, ok := n.Xattrs[key]; !ok {
			return ErrNoXattr
		}
		delete(n.Xattrs, key)
		return nil
	})
}

func (c *Cache) changeXattr(ino Ino, fn func(*inode) error) error {
	if err := c.readOnly(ino); err != nil {
		return err
	}
	return c.update(ino, func(x *change, n *inode) error {
		x.touch(ino, n, false)
		return fn(n)
	})
}

// SetSafeWord sets what [Cache.State] calls a file that is safe: a bucket on
// the same disk is not a backup and has another word.
func (c *Cache) SetSafeWord(w string) { c.safeWord = w }

// State tells how far an inode is on its way to the bucket, in the words of the
// State constants.
func (c *Cache) State(ino Ino) (string, error) {
	n, err := c.inode(ino)
	if err != nil {
		return "", err
	}
	if n.dirty() || !n.committed() && ino != Root {
		return StateLocal, nil
	}
	owed, err := c.marked(bOwed, ino)
	if err != nil {
		return "", err
	}
	waits, err := c.marked(bPRow, ino)
	switch {
	case err != nil:
		return "", err
	case waits && !owed:
		return StateUploading, nil
	case owed:
		return StateTagsSafe, nil
	}
	return c.safeWord, nil
}

func (c *Cache) marked(b kv.Bucket, ino Ino) (bool, error) {
	_, ok, err := c.db.Get(b, inoKey(ino))
	return ok, err
}
