package repo

import (
	"encoding/base64"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// line is any line of a commit or a checkpoint: the union of the fields of all
// rows. What the line is shows in which fields it has.
type line struct {
	seen map[string]bool // fields there

	object    ObjectRow
	condemned CondemnRow // without Name and Size
	forget    ForgetRow
	inode     InodeRow
	header    Commit
	version   int64
	signature string
}

// lines lends them, as each is larger than most rows are.
var lines = sync.Pool{New: func() any { return &line{seen: make(map[string]bool, 16)} }}

// release gives a line back of which nothing more is asked. What was taken of it stays.
func (l *line) release() {
	clear(l.seen)
	*l = line{seen: l.seen}
	lines.Put(l)
}

// parseLine reads one line of JSON. Fields that it does not know are skipped. The caller
// releases the line, whether or not there is an error.
func parseLine(text []byte) (*line, error) {
	l := lines.Get().(*line)
	s := &scanner{p: text}
	s.object(func(name string) {
		if l.seen[name] {
			s.fail("field %.40q twice", name)
			return
		}
		l.seen[name] = true
		if !l.objectField(s, name) && !l.inodeField(s, name) && !l.headerField(s, name) {
			s.skip()
		}
	})
	return l, s.end()
}

func (l *line) objectField(s *scanner, name string) bool {
	o := &l.object
	switch name {
	case "put", "condemn", "deleted":
		o.Name = s.str()
		if err := checkObjectName(o.Name); err != nil && s.err == nil {
			s.fail("%w", err)
		}
	case "size": // of objects and of files
		o.Size = s.length(math.MaxInt64)
		l.inode.Size = o.Size
	case "head":
		o.Head = s.sha()
	case "kind": // of objects and of commits
		o.Kind = s.str()
		l.header.Kind = o.Kind
	case "raw":
		o.Raw = s.flatRefs([]BlobRef{})
	case "frames":
		s.array(func() { o.Frames = append(o.Frames, s.frame()) })
	case "why":
		l.condemned.Why = s.str()
	case "by":
		s.by(&l.condemned)
	case "forget":
		l.forget = s.forget()
	default:
		return false
	}
	return true
}

// by takes "<device>:<seq>".
func (s *scanner) by(r *CondemnRow) {
	text := s.str()
	device, seq, _ := strings.Cut(text, ":")
	n, err := strconv.ParseUint(seq, 10, 63)
	if s.err == nil && (err != nil || n == 0 || !isHex(device, 16)) {
		s.fail("commit %.40q", text)
	}
	r.Device, r.Seq = device, n
}

// forget takes {device:[first,last,…],…}.
func (s *scanner) forget() ForgetRow {
	r := ForgetRow{}
	s.object(func(device string) {
		spans := []Span{}
		n := 0
		s.array(func() {
			if n++; n%2 == 1 {
				spans = append(spans, Span{First: uint64(s.length(math.MaxInt64))})
				return
			}
			last := &spans[len(spans)-1]
			if last.Last = uint64(s.length(math.MaxInt64)); last.Last < last.First && s.err == nil {
				s.fail("commits %d to %d", last.First, last.Last)
			}
		})
		if s.err == nil && (n%2 == 1 || !isHex(device, 16)) {
			s.fail("commits of device %.40q", device)
		}
		r[device] = spans
	})
	return r
}

// frame takes [z,"id",n,…].
func (s *scanner) frame() Frame {
	f := Frame{Packed: -1}
	var id ID
	var n int
	s.array(func() {
		switch {
		case n == 0:
			f.Packed = s.length(MaxObject)
		case n%2 == 1:
			id = s.id()
		default:
			f.Blobs = append(f.Blobs, BlobRef{id, s.length(MaxBlob)})
		}
		n++
	})
	if s.err == nil && (n%2 == 0 || f.Packed < 0) {
		s.fail("frame of %d elements", n)
	}
	if f.Size() > MaxFrame {
		s.fail("frame of %d bytes, the limit is %d", f.Size(), MaxFrame)
	}
	return f
}

// flatRefs takes ["id",n,…] behind refs.
func (s *scanner) flatRefs(refs []BlobRef) []BlobRef {
	var id ID
	n := 0
	s.array(func() {
		if n++; n%2 == 1 {
			id = s.id()
		} else {
			refs = append(refs, BlobRef{id, s.length(MaxBlob)})
		}
	})
	if n%2 == 1 {
		s.fail("blob without length")
	}
	return refs
}

// ref takes ["id",n].
func (s *scanner) ref() BlobRef {
	refs := s.flatRefs(nil)
	if s.err == nil && len(refs) != 1 {
		s.fail("%d blobs, want 1", len(refs))
	}
	if s.err != nil {
		return BlobRef{}
	}
	return refs[0]
}

func (l *line) inodeField(s *scanner, name string) bool {
	r := &l.inode
	switch name {
	case "inode":
		r.Inode = s.inode()
	case "type":
		r.Type = s.str()
	case "mode":
		r.Mode = s.uint32()
	case "uid":
		r.UID = s.uint32()
	case "gid":
		r.GID = s.uint32()
	case "mtime":
		r.Mtime = s.mtime()
	case "rdev":
		r.Rdev = s.uint32()
	case "xattrs":
		s.xattrs(r, func(name string) (string, error) { return name, nil })
	case "xattrs64":
		s.xattrs(r, decode64)
	case "target":
		r.Target = s.str()
	case "target64":
		r.Target = string(s.bytes64(base64.StdEncoding.DecodeString))
	case "in":
		r.In = s.inode()
	case "name":
		r.Name = s.str()
	case "name64":
		r.Name = string(s.bytes64(base64.StdEncoding.DecodeString))
	case "base":
		r.Base = s.str()
	case "succeeds":
		r.Succeeds = s.inode()
	case "fed":
		r.Fed = s.str()
	case "gone":
		r.Gone = s.isTrue()
	case "taken_open":
		r.TakenOpen = s.isTrue()
	case "parts":
		s.array(func() { r.Parts = append(r.Parts, s.part()) })
	case "runs":
		r.Runs = s.runs()
	case "more":
		ref := s.ref()
		r.More = &ref
	default:
		return false
	}
	return true
}

func decode64(s string) (string, error) {
	p, err := base64.StdEncoding.DecodeString(s)
	return string(p), err
}

func (s *scanner) mtime() time.Time {
	var v [2]int64
	n := 0
	s.array(func() {
		if n == 2 {
			s.fail("mtime of more than two numbers")
			return
		}
		v[n] = s.int()
		n++
	})
	if s.err == nil && (n != 2 || v[1] < 0 || v[1] >= 1e9) {
		s.fail("mtime %v", v)
	}
	return time.Unix(v[0], v[1])
}

func (s *scanner) xattrs(r *InodeRow, decode func(string) (string, error)) {
	if r.Xattrs == nil {
		r.Xattrs = map[string][]byte{}
	}
	s.object(func(field string) {
		name, err := decode(field)
		if err != nil || len(name) > MaxName {
			s.fail("xattr name %.300q", field)
			return
		}
		r.Xattrs[name] = s.bytes64(base64.StdEncoding.DecodeString)
	})
}

// part takes [kind,length], [kind,length,id] or [kind,length,[slice,…]].
func (s *scanner) part() (p Part) {
	n := 0
	s.array(func() {
		switch n {
		case 0:
			p.Kind = s.str()
		case 1:
			p.Size = s.length(math.MaxInt64)
		case 2:
			p.Blobs = s.partBlobs(p.Size)
		default:
			s.fail("part of more than three elements")
		}
		n++
	})
	if s.err == nil && n < 2 {
		s.fail("part of %d elements", n)
	}
	return p
}

func (s *scanner) partBlobs(size int64) (refs []Slice) {
	if s.next() == '"' {
		if size > MaxBlob {
			s.fail("blob of %d bytes, the limit is %d", size, MaxBlob)
		}
		return []Slice{{ID: s.id(), Size: size}}
	}
	s.array(func() { refs = append(refs, s.slice(size)) })
	for _, r := range refs {
		if size -= r.Size; size < 0 {
			break
		}
	}
	if s.err == nil && (size != 0 || len(refs) == 0) {
		s.fail("blobs of a part do not sum to its length")
	}
	return refs
}

// slice takes ["id",n], ["id",n,off], or [0,n] for zeros, of a part of limit bytes.
func (s *scanner) slice(limit int64) (r Slice) {
	n := 0
	s.array(func() {
		switch {
		case n == 0 && s.next() == '0':
			s.length(0)
		case n == 0:
			r.ID = s.id()
		case n == 1 && r.IsZeros():
			r.Size = s.length(limit)
		case n == 1:
			r.Size = s.length(MaxBlob)
		case n == 2 && !r.IsZeros():
			r.Off = s.length(MaxBlob - r.Size)
		default:
			s.fail("slice of more than it can have")
		}
		n++
	})
	if s.err == nil && n < 2 {
		s.fail("slice of %d elements", n)
	}
	return r
}

func (s *scanner) runs() (runs []Run) {
	n := 0
	s.array(func() {
		if n%2 == 0 {
			if len(runs) == MaxRuns {
				s.fail("more than %d runs", MaxRuns)
			}
			runs = append(runs, Run{Part: int(s.length(math.MaxInt32))})
		} else {
			runs[len(runs)-1].Length = s.length(math.MaxInt64)
		}
		n++
	})
	if n%2 == 1 {
		s.fail("run without length")
	}
	return runs
}

// JoinRuns gives all runs of a row with More, whose blob is more, and holds
// them to the parts and the size.
func (r *InodeRow) JoinRuns(more []byte) ([]Run, error) {
	s := &scanner{p: more}
	rest := s.runs()
	if err := s.end(); err != nil {
		return nil, fmt.Errorf("runs of %016x: %w: %w", r.Inode, ErrCorrupt, err)
	}
	whole := *r
	whole.Runs, whole.More = append(slices.Clone(r.Runs), rest...), nil
	if len(whole.Runs) > MaxRuns {
		return nil, fmt.Errorf("file %016x: %w: %d runs, the limit is %d", r.Inode, ErrCorrupt, len(whole.Runs), MaxRuns)
	}
	if err := whole.validateFile(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return whole.Runs, nil
}

// row gives the line as a row, if it is one.
func (l *line) row() (Row, error) {
	has := func(name string) bool { return l.seen[name] }
	name := has("name") || has("name64")
	switch {
	case has("put"):
		l.object.readKinds()
		return l.object, l.object.validate()
	case has("condemn"):
		return CondemnRow{l.object.Name, l.object.Size, l.condemned.Why, l.condemned.Device, l.condemned.Seq}, nil
	case has("deleted"):
		return DeletedRow{l.object.Name, l.object.Size}, nil
	case has("forget"):
		return l.forget, nil
	case has("inode") && (has("type") || has("gone")):
		l.inode.defaults()
		return l.inode, l.inode.validate()
	case has("in") && name && has("inode") != has("gone"):
		return NameRow{l.inode.In, l.inode.Name, l.inode.Inode}, validName(l.inode.Name)
	}
	return nil, fmt.Errorf("a line that is no row")
}

func (l *line) headerField(s *scanner, name string) bool {
	c := &l.header
	switch name {
	case "commit":
		l.version = s.int()
	case "device":
		c.Device = s.str()
	case "seq":
		c.Seq = uint64(s.length(math.MaxInt64))
	case "prev":
		c.Prev = s.str()
	case "repo":
		c.Repo = s.str()
	case "time":
		c.Time = s.time()
	case "seen":
		c.Seen = s.heads()
	case "epoch":
		c.Epoch = int(s.length(math.MaxInt32))
	case "lost":
		s.array(func() { c.Lost = append(c.Lost, s.str()) })
	case "lock":
		c.Lock = s.lock()
	case "heads":
		c.Heads = s.heads()
	case "rows":
		s.array(func() { c.Rows = append(c.Rows, s.ref()) })
	case "sig":
		l.signature = s.str()
	default:
		return false
	}
	return true
}

// lock takes ["<mode>",days].
func (s *scanner) lock() (l Lock) {
	n := 0
	s.array(func() {
		switch n++; n {
		case 1:
			l.Mode = s.str()
		case 2:
			l.Days = int(s.length(math.MaxInt32))
		default:
			s.skip()
		}
	})
	return l
}

func (s *scanner) time() time.Time {
	text := s.str()
	if s.err != nil {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		s.fail("%w", err)
	}
	return t.UTC()
}

// heads takes {device:[seq,SHA-256],…}.
func (s *scanner) heads() map[string]Head {
	heads := map[string]Head{}
	s.object(func(device string) {
		var h Head
		n := 0
		s.array(func() {
			switch n {
			case 0:
				h.Seq = uint64(s.length(math.MaxInt64))
			case 1:
				h.SHA = s.str()
			default:
				s.fail("head of more than two elements")
			}
			n++
		})
		if s.err == nil && (!isHex(device, 16) || !isHex(h.SHA, 64) || h.Seq == 0) {
			s.fail("head of device %.40q", device)
		}
		heads[device] = h
	})
	return heads
}
