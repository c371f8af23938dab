package repo

import (
	"fmt"
	"strings"
)

// validate holds an object row to the limits and to its own arithmetic.
func (o *ObjectRow) validate() error {
	n, err := plainSize(o.Size)
	if err != nil {
		return fmt.Errorf("%s: %w", o.Name, err)
	}
	var used int64
	for _, f := range o.Frames {
		if f.Packed < 1 {
			return fmt.Errorf("%s: a frame of no bytes", o.Name)
		}
		used += f.Packed
	}
	for _, r := range o.Raw {
		used += r.Size
	}
	raw := strings.HasPrefix(o.Name, "audio/")
	if used > n || raw != (o.Frames == nil) || raw != (o.Raw != nil) {
		return fmt.Errorf("%s: its blobs do not lie in it", o.Name)
	}
	return nil
}

// defaults fills in what is left out when it is plain.
func (r *InodeRow) defaults() {
	if len(r.Parts) == 1 && len(r.Runs) == 0 && r.Size > 0 {
		r.Runs = []Run{{0, r.Size}}
	}
}

func (r *InodeRow) validate() error {
	if r.Gone {
		return nil
	}
	switch r.Type {
	case "file":
		return r.validateFile()
	case "dir":
		if r.Inode == 1 && r.In == 0 {
			return nil
		}
		if r.In == 0 {
			return fmt.Errorf("directory %016x without parent", r.Inode)
		}
		return validName(r.Name)
	case "symlink":
		if len(r.Target) > MaxTarget {
			return fmt.Errorf("symbolic link %016x of %d bytes, the limit is %d", r.Inode, len(r.Target), MaxTarget)
		}
	case "fifo", "socket", "char", "block":
	default:
		return fmt.Errorf("inode %016x of type %.20q", r.Inode, r.Type)
	}
	return r.validateXattrs()
}

// validateFile checks that the runs use up the parts and sum to the size.
// Runs that go on in More are checked by who reads them.
func (r *InodeRow) validateFile() error {
	left := make([]int64, len(r.Parts))
	for i, p := range r.Parts {
		left[i] = p.Size
	}
	size := r.Size
	for _, run := range r.Runs {
		if run.Part >= len(left) || run.Length > left[run.Part] || run.Length > size {
			return fmt.Errorf("file %016x: runs do not fit its parts", r.Inode)
		}
		left[run.Part] -= run.Length
		size -= run.Length
	}
	for _, n := range left {
		if n != 0 && r.More == nil {
			return fmt.Errorf("file %016x: runs leave bytes of parts", r.Inode)
		}
	}
	if size != 0 && r.More == nil {
		return fmt.Errorf("file %016x: runs do not sum to its size", r.Inode)
	}
	return r.validateXattrs()
}

func (r *InodeRow) validateXattrs() error {
	n := 0
	for name, value := range r.Xattrs {
		n += len(name) + len(value)
	}
	if n > MaxXattrs {
		return fmt.Errorf("inode %016x: %d bytes of extended attributes, the limit is %d", r.Inode, n, MaxXattrs)
	}
	return nil
}

// validName refuses names that no directory can hold, and so none that could
// lead a restore out of its folder.
func validName(name string) error {
	if name == "" || name == "." || name == ".." || len(name) > MaxName || strings.ContainsAny(name, "/\x00") {
		return fmt.Errorf("name %.300q in a directory", name)
	}
	return nil
}
