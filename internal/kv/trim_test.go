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
	if mapped := d.bolt.Info(); mapped.Data == 0 {
		t.Fatal("bbolt maps nothing")
	}
	read()
	d.reads.Store(trimReads) // the flusher may have looked already
	d.trim()
	if left := residentFiles(); left >= trimAbove || rows*len(value) < trimAbove {
		t.Errorf("%d bytes of files are in memory after the trim", left)
	}
	read()
}
