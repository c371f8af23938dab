package cache

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// waitingByRows counts what Waiting counts, by looking for the marks of each inode.
func waitingByRows(c *Cache) (w Waiting, err error) {
	var inos []Ino
	if err := c.db.Scan(bInode, nil, nil, func(k, _ []byte) bool { inos = append(inos, keyIno(k)); return true }); err != nil {
		return w, err
	}
	if err := c.db.Scan(bPRow, nil, nil, func(_, _ []byte) bool { w.Rows++; return true }); err != nil {
		return w, err
	}
	for _, ino := range inos {
		debt, owed, err1 := c.db.Get(bOwed, inoKey(ino))
		_, uncut, err2 := c.db.Get(bUncut, inoKey(ino))
		_, row, err3 := c.db.Get(bPRow, inoKey(ino))
		n, err4 := c.inode(ino)
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			return w, err
		}
		owed = owed && c.StaleReason(ino) == nil
		if n.Mode&unix.S_IFMT != unix.S_IFREG || n.Nlink == 0 || !owed && !uncut && !row {
			continue
		}
		var bytes int64
		if d, _ := debtOf(inoKey(ino), debt); owed {
			bytes = d.Bytes
		}
		if n.dirty() {
			a, err := c.Attr(ino)
			if err != nil {
				return w, err
			}
			bytes = a.Size
		}
		w.Files++
		w.Bytes += bytes
		w.Owed += bytes
		if f := c.peek(ino); f != nil && f.isHeld() {
			w.Open++
		}
	}
	return w, nil
}

// TestWaitingAgreesWithTheRows makes, writes, opens, cuts, pays, links, moves, removes and commits
// files, of this device and of another, and compares what waits with the rows after every step.
func TestWaitingAgreesWithTheRows(t *testing.T) {
	top := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		dir := filepath.Join(top, "home")
		defer os.RemoveAll(dir)
		c, err := Open(dir, Options{InoBase: 7 << 32})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { c.Close() }()
		c.SettleNow(true)
		ok := func(err error, but ...error) {
			t.Helper()
			if err != nil && !slices.ContainsFunc(but, func(e error) bool { return errors.Is(err, e) }) {
				t.Fatal(err)
			}
		}
		var rows []Row
		var names []NameRow
		for i, ino := range []Ino{inoBlock - 1, inoBlock, 63, 64, 1 << 40} {
			rows = append(rows, Row{Ino: ino, Mode: unix.S_IFREG | 0o644, Recipe: &Recipe{}})
			names = append(names, NameRow{Parent: Root, Name: fmt.Sprint("theirs", i), Ino: ino})
		}
		ok(c.Absorb(rows, names, "x:1"))
		open, news := []*Handle{}, 0
		closeAll := func() {
			for _, h := range open {
				h.Release()
			}
			open = nil
		}
		defer func() { closeAll() }()
		file := func(t *rapid.T) DirEntry {
			list, err := c.ReadDir(Root)
			ok(err)
			list = slices.DeleteFunc(list, func(e DirEntry) bool {
				kind, err := c.Type(e.Ino)
				return err != nil || kind != unix.S_IFREG
			})
			if len(list) == 0 {
				t.Skip("no file is left")
			}
			return rapid.SampledFrom(list).Draw(t, "file")
		}
		name := func() string { news++; return fmt.Sprint("n", news) }
		cut := func(t *rapid.T, owed bool) {
			s, err := c.Snapshot(file(t).Ino)
			if err != nil {
				ok(err, ErrBusy, ErrNotExist, ErrChanged)
				return
			}
			defer s.Close()
			r := Recipe{Size: s.Size}
			if s.Size > 0 {
				p := Part{Kind: "audio", Size: s.Size, Owed: owed}
				if !owed {
					p.Blobs = []Blob{{ID: [16]byte{1}, Size: s.Size}}
				}
				r.Parts, r.Runs = []Part{p}, []Run{{Length: s.Size}}
			}
			ok(s.SetRecipe(r), ErrChanged)
		}
		t.Repeat(map[string]func(*rapid.T){
			"create": func(*rapid.T) {
				_, h, err := c.Create(Root, name(), 0o644, Owner{}, OpenFlags{Write: true})
				ok(err)
				open = append(open, h)
			},
			"folder": func(*rapid.T) {
				_, err := c.Mkdir(Root, name(), 0o755, Owner{})
				ok(err)
			},
			"symlink": func(*rapid.T) {
				_, err := c.Symlink(Root, name(), "x", Owner{})
				ok(err)
			},
			"open": func(t *rapid.T) {
				h, err := c.OpenFile(file(t).Ino, OpenFlags{Read: true, Write: true})
				ok(err)
				open = append(open, h)
			},
			"write": func(t *rapid.T) {
				if len(open) == 0 {
					t.Skip("nothing is open")
				}
				h := open[rapid.IntRange(0, len(open)-1).Draw(t, "handle")]
				_, err := h.WriteAt(make([]byte, rapid.IntRange(1, 5000).Draw(t, "n")), int64(rapid.IntRange(0, 5000).Draw(t, "at")))
				ok(err)
			},
			"truncate": func(t *rapid.T) {
				size := int64(rapid.IntRange(0, 9000).Draw(t, "size"))
				_, err := c.SetAttr(file(t).Ino, Change{Size: &size})
				ok(err)
			},
			"close":   func(*rapid.T) { closeAll() },
			"cut":     func(t *rapid.T) { cut(t, false) },
			"cutOwed": func(t *rapid.T) { cut(t, true) },
			"pay": func(t *rapid.T) {
				s, err := c.Snapshot(file(t).Ino)
				if err != nil {
					ok(err, ErrBusy, ErrNotExist, ErrChanged)
					return
				}
				defer s.Close()
				ok(s.Paid(0, []Blob{{ID: [16]byte{2}, Size: s.Size}}), ErrChanged)
			},
			"link": func(t *rapid.T) {
				_, err := c.Link(file(t).Ino, Root, name())
				ok(err)
			},
			"rename": func(t *rapid.T) { ok(c.Rename(Root, file(t).Name, Root, name(), RenameFlags{})) },
			"replace": func(t *rapid.T) {
				ok(c.Rename(Root, file(t).Name, Root, file(t).Name, RenameFlags{}))
			},
			"remove": func(t *rapid.T) { ok(c.Unlink(Root, file(t).Name)) },
			"commit": func(t *rapid.T) {
				b, _, err := c.Pending(rapid.IntRange(1, 20).Draw(t, "rows"))
				ok(err)
				ok(c.Committed(b, "d:1"))
			},
			"restart": func(*rapid.T) {
				closeAll()
				ok(c.Close())
				c, err = Open(dir, Options{InoBase: 7 << 32})
				ok(err)
				c.SettleNow(true)
			},
			"": func(t *rapid.T) {
				got, err := c.Waiting()
				ok(err)
				want, err := waitingByRows(c)
				ok(err)
				if got.Total, got.Size, got.Sound = 0, 0, 0; got != want {
					t.Fatalf("it says %+v, the rows %+v", got, want)
				}
				if idle, err := c.Idle(); err != nil || idle && len(open) == 0 && got.Files+got.Rows > 0 {
					t.Fatalf("idle %v (%v), and it says %+v", idle, err, got)
				}
			},
		})
	})
}
