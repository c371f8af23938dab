package repo

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Rows are written by hand: there are millions of them, and the order of their
// fields is chosen so that neighbouring rows compress well. decode.go is the
// inverse.

const timeLayout = "2006-01-02T15:04:05.000Z"

// appendRow appends one row as a line of JSON.
func appendRow(b []byte, row Row) []byte {
	b = append(b, '{')
	switch r := row.(type) {
	case ObjectRow:
		b = appendField(b, "put")
		b = appendString(b, r.Name)
		b = appendIntField(b, "size", r.Size)
		b = appendField(b, "head")
		b = appendString(b, b64.EncodeToString(r.Head[:]))
		b = append(b, ',')
		b = appendObjectFields(b, &r)
	case CondemnRow:
		b = appendField(b, "condemn")
		b = appendString(b, r.Name)
		b = appendIntField(b, "size", r.Size)
		b = appendField(b, "why")
		b = appendString(b, strings.ToValidUTF8(r.Why, "?"))
		if r.Device != "" {
			b = appendStringField(b, "by", fmt.Sprintf("%s:%d", r.Device, r.Seq))
		}
	case DeletedRow:
		b = appendStringField(b, "deleted", r.Name)
		b = appendIntField(b, "size", r.Size)
	case ForgetRow:
		b = appendForget(b, r)
	case InodeRow:
		b = appendInode(b, &r)
	case NameRow:
		b = appendInodeField(b, "in", r.In)
		b = appendBytesField(b, "name", r.Name)
		if r.Inode == 0 {
			b = appendTrue(b, "gone")
		} else {
			b = appendInodeField(b, "inode", r.Inode)
		}
	}
	return append(b, '}', '\n')
}

// appendObjectFields appends the fields that a pack's own index has as well.
func appendObjectFields(b []byte, o *ObjectRow) []byte {
	b = appendField(b, "kind")
	b = appendString(b, o.kindText())
	if o.Raw != nil {
		b = appendField(b, "raw")
		return append(appendFlatRefs(append(b, '['), o.Raw), ']')
	}
	b = append(appendField(b, "frames"), '[')
	for i, f := range o.Frames {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(append(b, '['), f.Packed, 10)
		if len(f.Blobs) > 0 {
			b = append(b, ',')
		}
		b = append(appendFlatRefs(b, f.Blobs), ']')
	}
	return append(b, ']')
}

// appendFlatRefs appends "id",n,"id",n,….
func appendFlatRefs(b []byte, refs []BlobRef) []byte {
	for i, r := range refs {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendRef(b, r)
	}
	return b
}

func appendRef(b []byte, r BlobRef) []byte {
	b = appendID(b, r.ID)
	b = append(b, ',')
	return strconv.AppendInt(b, r.Size, 10)
}

func appendID(b []byte, id ID) []byte {
	b = append(b, '"')
	b = b64.AppendEncode(b, id[:])
	return append(b, '"')
}

func appendInode(b []byte, r *InodeRow) []byte {
	b = appendInodeField(b, "inode", r.Inode)
	if r.Gone {
		return appendTrue(b, "gone")
	}
	b = appendField(b, "type")
	b = appendString(b, r.Type)
	b = appendIntField(b, "mode", int64(r.Mode))
	b = appendIntField(b, "uid", int64(r.UID))
	b = appendIntField(b, "gid", int64(r.GID))
	b = appendField(b, "mtime")
	b = strconv.AppendInt(append(b, '['), r.Mtime.Unix(), 10)
	b = strconv.AppendInt(append(b, ','), int64(r.Mtime.Nanosecond()), 10)
	b = append(b, ']')
	if r.Rdev != 0 {
		b = appendIntField(b, "rdev", int64(r.Rdev))
	}
	if r.Type == "file" {
		b = appendFile(b, r)
	}
	if r.Type == "symlink" {
		b = appendBytesField(b, "target", r.Target)
	}
	if r.In != 0 {
		b = appendInodeField(b, "in", r.In)
		b = appendBytesField(b, "name", r.Name)
	}
	b = appendXattrs(b, r.Xattrs)
	if r.TakenOpen {
		b = appendTrue(b, "taken_open")
	}
	if r.Base != "" {
		b = appendField(b, "base")
		b = appendString(b, r.Base)
	}
	if r.Succeeds != 0 {
		b = appendInodeField(b, "succeeds", r.Succeeds)
	}
	if r.Fed != "" {
		b = appendStringField(b, "fed", r.Fed)
	}
	return b
}

func appendFile(b []byte, r *InodeRow) []byte {
	b = appendIntField(b, "size", r.Size)
	b = append(appendField(b, "parts"), '[')
	for i, p := range r.Parts {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendPart(b, p)
	}
	b = append(b, ']')
	if len(r.Parts) > 1 {
		b = appendRuns(appendField(b, "runs"), r.Runs)
	}
	if r.More != nil {
		b = append(appendField(b, "more"), '[')
		b = append(appendRef(b, *r.More), ']')
	}
	return b
}

func appendRuns(b []byte, runs []Run) []byte {
	b = append(b, '[')
	for i, run := range runs {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(run.Part), 10)
		b = strconv.AppendInt(append(b, ','), run.Length, 10)
	}
	return append(b, ']')
}

// MarshalRuns gives the blob that [InodeRow.More] names: runs that continue
// those of the row.
func MarshalRuns(runs []Run) []byte { return appendRuns(nil, runs) }

func appendPart(b []byte, p Part) []byte {
	b = appendString(append(b, '['), p.Kind)
	b = strconv.AppendInt(append(b, ','), p.Size, 10)
	switch {
	case len(p.Blobs) == 1 && p.Blobs[0].Off == 0 && !p.Blobs[0].IsZeros():
		b = appendID(append(b, ','), p.Blobs[0].ID)
	case len(p.Blobs) > 0:
		b = append(b, ',', '[')
		for i, r := range p.Blobs {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendSlice(b, r)
		}
		b = append(b, ']')
	}
	return append(b, ']')
}

// appendSlice appends ["id",n], ["id",n,off], or [0,n] for zeros.
func appendSlice(b []byte, s Slice) []byte {
	b = append(b, '[')
	if s.IsZeros() {
		b = append(b, '0')
	} else {
		b = appendID(b, s.ID)
	}
	b = strconv.AppendInt(append(b, ','), s.Size, 10)
	if s.Off != 0 {
		b = strconv.AppendInt(append(b, ','), s.Off, 10)
	}
	return append(b, ']')
}

// appendXattrs sorts attributes whose names are not UTF-8 into a field of
// their own.
func appendXattrs(b []byte, xattrs map[string][]byte) []byte {
	plain, odd := map[string][]byte{}, map[string][]byte{}
	for name, value := range xattrs {
		if utf8.ValidString(name) {
			plain[name] = value
		} else {
			odd[base64.StdEncoding.EncodeToString([]byte(name))] = value
		}
	}
	return appendValues(appendValues(b, "xattrs", plain), "xattrs64", odd)
}

func appendValues(b []byte, field string, set map[string][]byte) []byte {
	if len(set) == 0 {
		return b
	}
	b = append(appendField(b, field), '{')
	for _, name := range slices.Sorted(maps.Keys(set)) {
		b = append(appendField(b, name), '"')
		b = append(base64.StdEncoding.AppendEncode(b, set[name]), '"')
	}
	return append(b, '}')
}

func appendHeader(b []byte, c *Commit) []byte {
	b = append(b, '{')
	b = appendIntField(b, "commit", Format)
	b = appendStringField(b, "kind", c.Kind)
	b = appendStringField(b, "device", c.Device)
	b = appendIntField(b, "seq", int64(c.Seq))
	if c.Prev != "" {
		b = appendStringField(b, "prev", c.Prev)
	}
	if c.Repo != "" {
		b = appendStringField(b, "repo", c.Repo)
	}
	b = appendStringField(b, "time", c.Time.UTC().Format(timeLayout))
	if len(c.Seen) > 0 {
		b = appendHeads(b, "seen", c.Seen)
	}
	b = appendIntField(b, "epoch", int64(c.Epoch))
	if c.Lock.Days > 0 {
		b = append(appendField(b, "lock"), '[')
		b = append(appendString(b, c.Lock.Mode), ',')
		b = append(strconv.AppendInt(b, int64(c.Lock.Days), 10), ']')
	}
	if len(c.Lost) > 0 {
		b = append(appendField(b, "lost"), '[')
		for i, name := range c.Lost {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendString(b, name)
		}
		b = append(b, ']')
	}
	return append(b, '}', '\n')
}

func appendHeads(b []byte, field string, heads map[string]Head) []byte {
	b = append(appendField(b, field), '{')
	for _, device := range slices.Sorted(maps.Keys(heads)) {
		b = append(appendField(b, device), '[')
		b = strconv.AppendUint(b, heads[device].Seq, 10)
		b = append(appendString(append(b, ','), heads[device].SHA), ']')
	}
	return append(b, '}')
}

// appendForget appends device:[first,last,…] for each device.
func appendForget(b []byte, r ForgetRow) []byte {
	b = append(appendField(b, "forget"), '{')
	for _, device := range slices.Sorted(maps.Keys(r)) {
		b = append(appendField(b, device), '[')
		for i, s := range r[device] {
			if i > 0 {
				b = append(b, ',')
			}
			b = strconv.AppendUint(b, s.First, 10)
			b = strconv.AppendUint(append(b, ','), s.Last, 10)
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

// appendCheckpoint appends the line of FORMAT.md §6.
func appendCheckpoint(b []byte, c *Commit) []byte {
	b = appendHeads(append(b, '{'), "heads", c.Heads)
	b = append(appendField(b, "rows"), '[')
	for i, r := range c.Rows {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendRef(append(b, '['), r), ']')
	}
	return append(b, ']', '}', '\n')
}

// appendField appends a name and its colon, after a comma unless it is the first.
func appendField(b []byte, name string) []byte {
	if last := b[len(b)-1]; last != '{' && last != ',' {
		b = append(b, ',')
	}
	return append(appendString(b, name), ':')
}

func appendIntField(b []byte, name string, n int64) []byte {
	return strconv.AppendInt(appendField(b, name), n, 10)
}

func appendStringField(b []byte, name, value string) []byte {
	return appendString(appendField(b, name), value)
}

func appendTrue(b []byte, name string) []byte { return append(appendField(b, name), "true"...) }

// appendInodeField appends an inode's number: 16 hexadecimal digits.
func appendInodeField(b []byte, name string, inode uint64) []byte {
	return fmt.Appendf(appendField(b, name), `"%016x"`, inode)
}

// appendBytesField appends bytes that are mostly, but not always, UTF-8.
func appendBytesField(b []byte, name, value string) []byte {
	if utf8.ValidString(value) {
		return appendStringField(b, name, value)
	}
	return appendStringField(b, name+"64", base64.StdEncoding.EncodeToString([]byte(value)))
}

// appendString appends s, which is UTF-8, as a JSON string (RFC 8259 §7).
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20:
			b = fmt.Appendf(b, `\u%04x`, c)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}
