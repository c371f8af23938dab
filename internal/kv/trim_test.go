package kv

import (
	"fmt"
	"testing"
)

// TestTrim: what reading mapped is given back, and can be read again.
func TestTrim(t *testing.T) {
	d := open(t, t.TempDir())
	defer d.Close()
	const rows = 20_000
	value := make([]byte, 4000)
	var b Batch
	for i := range rows {
		b.Put(0, fmt.Appendf(nil, "%08d", i), value)
		if b.Len() == 1000 {
			if err := d.Apply(&b); err != nil {
				t.Fatal(err)
			}
			b = Batch{}
		}
	}
	if err := d.Flush(); err != nil {
		t.Fatal(err)
	}
	read := func() {
		for i := range rows {
			if v, ok, err := d.Get(0, fmt.Appendf(nil, "%08d", i)); err != nil || !ok || len(v) != len(value) {
				t.Fatalf("row %d: %d bytes, %v, %v", i, len(v), ok, err)
			}
		}
	}
	read()
	scan := func() {
		n := 0
		if err := d.Scan(0, nil, nil, func(_, _ []byte) bool { n++; return true }); err != nil || n != rows {
			t.Fatalf("%d rows, %v", n, err)
		}
	}
	scan()
	if left := residentFiles(); left >= trimAbove+lookEvery*64<<10 || rows*len(value) < trimAbove {
		t.Errorf("%d bytes of files are in memory after reading all", left)
	}
	d.trim()
	if left := residentFiles(); left >= trimAbove {
		t.Errorf("%d bytes of files are in memory after the trim", left)
	}
	read()
}
