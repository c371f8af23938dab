package repo

import (
	"reflect"
	"testing"
	"time"
)

func TestPackInode(t *testing.T) {
	id := ID{1, 2, 3}
	mtime := time.Unix(-5, 999999999)
	rows := []InodeRow{
		{Inode: 7, Gone: true},
		{Inode: 1, Type: "dir", Mode: 0o755, Mtime: mtime},
		{Inode: 1<<64 - 1, Type: "dir", Mode: 0o7777, UID: 1<<32 - 1, Mtime: mtime, In: 1 << 63, Name: "\xff odd", Fed: "0123456789abcdef", Base: "0123456789abcdef:12"},
		{Inode: 3, Type: "symlink", Target: "../x", Mtime: mtime, Xattrs: map[string][]byte{"user.a": {}, "user.\xff": {0, 1}}},
		{Inode: 4, Type: "char", Rdev: 1<<32 - 1, Mtime: mtime},
		{Inode: 5, Type: "fifo", Mtime: mtime}, {Inode: 5, Type: "socket", Mtime: mtime}, {Inode: 5, Type: "block", Rdev: 9, Mtime: mtime},
		{Inode: 6, Type: "file", Mtime: mtime},
		{Inode: 6, Type: "file", Mtime: mtime, Size: 1<<63 - 1, Succeeds: 9, TakenOpen: true, More: &BlobRef{id, 44},
			Parts: []Part{{Tags, 10, []Slice{{ID: id, Size: 10}}}, {"a kind to come", 7, nil},
				{Data, 1<<63 - 18, []Slice{{Size: 1 << 62}, {ID: id, Size: 5, Off: 1 << 20}}}},
			Runs: []Run{{0, 10}, {2, 1<<63 - 18}, {1, 7}}},
	}
	for _, r := range rows {
		packed := PackInode(&r)
		got, err := UnpackInode(r.Inode, packed)
		if err != nil || !got.Mtime.Equal(r.Mtime) && !r.Gone {
			t.Fatal(err, got.Mtime)
		}
		got.Mtime = r.Mtime
		if !reflect.DeepEqual(got, r) {
			t.Errorf("%+v became %+v", r, got)
		}
		if PackedType(packed) != r.Type {
			t.Errorf("type %q of a packed %q", PackedType(packed), r.Type)
		}
		for n := range packed {
			if _, err := UnpackInode(r.Inode, packed[:n]); err == nil {
				t.Errorf("%d of %d bytes were taken for a row", n, len(packed))
			}
		}
	}
}

func FuzzUnpackInode(f *testing.F) {
	f.Add(PackInode(&InodeRow{Type: "file", Size: 3, Parts: []Part{{Tags, 3, []Slice{{ID: ID{1}, Size: 3}}}}, Runs: []Run{{0, 3}}, Mtime: time.Unix(0, 0)}))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = UnpackInode(1, b) })
}
