package cache

// Rows of inodes, of recipes and of where files lie outside are read several times for each
// file that is backed up or listed. Read by hand, in the order in which they are written, they
// take a third of the library's time (BenchmarkDecodeInode); what is not as expected is left to it.

// decode reads a row into v.
func decode(row []byte, v any) error {
	switch v := v.(type) {
	case *Recipe:
		return v.UnmarshalCBOR(row)
	case *inode:
		if v.decode(row) {
			return nil
		}
		*v = inode{}
	case *brief:
		if v.decode(row) {
			return nil
		}
		*v = brief{}
	case *sourceRow:
		if v.decode(row) {
			return nil
		}
		*v = sourceRow{}
	}
	return decMode.Unmarshal(row, v)
}

// decode reports false if the row is another one than we write, or has attributes, which
// few have.
func (n *inode) decode(row []byte) bool {
	d := &cborRow{p: row}
	for left, key := d.head(cborMap), uint64(0); left > 0 && !d.bad; left-- {
		switch key = d.next(key); key {
		case 1:
			n.Mode = d.uint32()
		case 2:
			n.Nlink = d.uint32()
		case 3:
			n.UID = d.uint32()
		case 4:
			n.GID = d.uint32()
		case 5:
			n.Rdev = d.uint32()
		case 6:
			n.Size = d.int()
		case 7:
			n.Atime = d.stamp()
		case 8:
			n.Mtime = d.stamp()
		case 9:
			n.Ctime = d.stamp()
		case 10:
			n.Parent = d.argument(cborInt)
		case 11:
			n.Name = d.text()
		case 12:
			n.Target = d.text()
		case 14:
			n.Gen = d.argument(cborInt)
		case 15:
			n.Cut = d.argument(cborInt)
		case 16:
			n.Ver = d.argument(cborInt)
		case 17:
			n.CVer = d.argument(cborInt)
		case 18:
			n.Base = d.text()
		case 19:
			n.Succeeds = d.argument(cborInt)
		case 20:
			n.TakenOpen = d.bool()
		case 21:
			n.Room = d.int()
		case 22:
			sound := d.int()
			n.Sound = &sound
		case 23:
			n.Fed = d.text()
		default:
			return false
		}
	}
	return !d.bad && len(d.p) == 0
}

// decode reads what is brief of the row of an inode.
func (n *brief) decode(row []byte) bool {
	d := &cborRow{p: row}
	for left, key := d.head(cborMap), uint64(0); left > 0 && !d.bad; left-- {
		switch key = d.next(key); key {
		case 1:
			n.Mode = d.uint32()
		case 2:
			n.Nlink = d.uint32()
		case 6:
			n.Size = d.int()
		case 22:
			sound := d.int()
			n.Sound = &sound
		case 3, 4, 5, 10, 14, 15, 16, 17, 19:
			d.argument(cborInt)
		case 7, 8, 9:
			d.stamp()
		case 11, 12, 18, 23:
			d.take(d.head(cborText))
		case 20:
			d.bool()
		case 21:
			d.int()
		default:
			return false
		}
	}
	return !d.bad && len(d.p) == 0
}

func (r *sourceRow) decode(row []byte) bool {
	d := &cborRow{p: row}
	d.exactly(9)
	r.Parent, r.Name = d.argument(cborInt), d.text()
	r.Dev, r.Ino, r.Size = d.argument(cborInt), d.argument(cborInt), d.int()
	r.Mtime, r.Ctime = d.stamp(), d.stamp()
	r.Outside, r.Made = d.bool(), d.bool()
	return !d.bad && len(d.p) == 0
}

// next reads the key behind another; we write them in order, and none twice.
func (d *cborRow) next(key uint64) uint64 {
	n := d.head(cborInt)
	if n <= key {
		d.bad = true
	}
	return n
}

func (d *cborRow) uint32() uint32 {
	n := d.head(cborInt)
	if n > 1<<32-1 {
		d.bad = true
	}
	return uint32(n)
}

func (d *cborRow) stamp() stamp {
	d.exactly(2)
	return stamp{S: d.int(), N: d.int()}
}

// text may be any bytes: names are.
func (d *cborRow) text() string { return string(d.take(d.head(cborText))) }

func (d *cborRow) bool() bool {
	b := d.take(1)
	if len(b) == 0 || b[0] != cborTrue && b[0] != cborFalse {
		d.bad = true
		return false
	}
	return b[0] == cborTrue
}
