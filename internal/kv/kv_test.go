package kv

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var buckets = []string{"a", "b"}

// quiet keeps the flusher asleep, so that only the test decides when to merge.
var quiet = Options{FlushEvery: 1 << 60, FlushBytes: 1 << 40}

func open(t testing.TB, dir string) *DB {
	t.Helper()
	d, err := Open(dir, buckets, quiet)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

type fataler interface{ Fatal(...any) }

func put(t fataler, d *DB, k, v string) {
	var b Batch
	b.Put(0, []byte(k), []byte(v))
	if err := d.Apply(&b); err != nil {
		t.Fatal(err)
	}
}

// crash leaves the files as the death of the program would.
func crash(d *DB) {
	close(d.stop)
	<-d.done
	d.log.f.Close()
	d.bolt.Close()
}

func get(t fataler, d *DB, k string) string {
	v, ok, err := d.Get(0, []byte(k))
	if err != nil {
		t.Fatal(err)
	}
	if !ok {
		return "-"
	}
	return string(v)
}

func TestCrashKeepsWhatWasApplied(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	put(t, d, "one", "1")
	if err := d.Flush(); err != nil {
		t.Fatal(err)
	}
	put(t, d, "two", "2")
	crash(d)
	d = open(t, dir)
	defer d.Close()
	if got := get(t, d, "one") + get(t, d, "two"); got != "12" {
		t.Fatalf("after a crash: %q, want 12", got)
	}
}

func TestTornTailEndsReplay(t *testing.T) {
	for cut := 1; cut < 20; cut++ {
		dir := t.TempDir()
		d := open(t, dir)
		put(t, d, "one", "1")
		whole := d.log.size.Load()
		put(t, d, "two", strings.Repeat("2", 20))
		name := d.log.f.Name()
		crash(d)
		st, _ := os.Stat(name)
		if err := os.Truncate(name, st.Size()-int64(cut)); err != nil {
			t.Fatal(err)
		}
		d = open(t, dir)
		if got := get(t, d, "one") + get(t, d, "two"); got != "1-" {
			t.Fatalf("cut %d of %d bytes behind %d: %q, want 1-", cut, st.Size(), whole, got)
		}
		d.Close()
	}
}

func TestFlippedByteEndsReplay(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	put(t, d, "one", "1")
	at := d.log.size.Load() + headLen + 2
	put(t, d, "two", "2")
	name := d.log.f.Name()
	crash(d)
	f, _ := os.OpenFile(name, os.O_RDWR, 0)
	p := make([]byte, 1)
	f.ReadAt(p, at)
	f.WriteAt([]byte{p[0] ^ 1}, at)
	f.Close()
	d = open(t, dir)
	defer d.Close()
	if got := get(t, d, "one") + get(t, d, "two"); got != "1-" {
		t.Fatalf("got %q, want 1-", got)
	}
}

func TestFailedSyncIsFinal(t *testing.T) {
	d := open(t, t.TempDir())
	put(t, d, "one", "1")
	d.log.f.Close() // every later system call on the journal fails
	if d.Sync() == nil {
		t.Fatal("Sync on a closed journal returned nil")
	}
	var b Batch
	b.Put(0, []byte("two"), nil)
	if d.Apply(&b) == nil || d.Sync() == nil {
		t.Fatal("accepted a change after a failed sync")
	}
	close(d.stop)
	<-d.done
	d.bolt.Close()
}

func TestSecondOpenIsRefused(t *testing.T) {
	dir := t.TempDir()
	d := open(t, dir)
	defer d.Close()
	if _, err := Open(dir, buckets, quiet); err != ErrLocked {
		t.Fatalf("second Open: %v, want ErrLocked", err)
	}
}

// TestModel compares with a map over puts, deletes, merges and crashes.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		d := open(t, dir)
		defer func() { d.Close() }()
		model := map[string]string{}
		key := rapid.Map(rapid.IntRange(0, 30), func(i int) string { return fmt.Sprintf("prefix%02d%d", i%3, i) })
		rt.Repeat(map[string]func(*rapid.T){
			"put": func(rt *rapid.T) {
				k, v := key.Draw(rt, "key"), rapid.String().Draw(rt, "value")
				put(rt, d, k, v)
				model[k] = v
			},
			"delete": func(rt *rapid.T) {
				k := key.Draw(rt, "key")
				var b Batch
				b.Delete(0, []byte(k))
				if err := d.Apply(&b); err != nil {
					rt.Fatal(err)
				}
				delete(model, k)
			},
			"flush": func(rt *rapid.T) {
				if err := d.Flush(); err != nil {
					rt.Fatal(err)
				}
			},
			"crash": func(rt *rapid.T) { crash(d); d = open(t, dir) },
			"scan": func(rt *rapid.T) {
				prefix := rapid.SampledFrom([]string{"", "pre", "prefix01", "prefix012"}).Draw(rt, "prefix")
				after := rapid.SampledFrom([]string{"", "prefix01", "prefix0113", "prefix0222"}).Draw(rt, "after")
				var got, want []string
				d.Scan(0, []byte(prefix), []byte(after), func(k, v []byte) bool {
					got = append(got, string(k)+"="+string(v))
					return true
				})
				for _, k := range slices.Sorted(maps.Keys(model)) {
					if strings.HasPrefix(k, prefix) && k > after {
						want = append(want, k+"="+model[k])
					}
				}
				if !slices.Equal(got, want) {
					rt.Fatalf("scan %q after %q: %q, want %q", prefix, after, got, want)
				}
			},
			"": func(rt *rapid.T) {
				k := key.Draw(rt, "key")
				want, ok := model[k]
				if !ok {
					want = "-"
				}
				if got := get(rt, d, k); got != want {
					rt.Fatalf("get %q: %q, want %q", k, got, want)
				}
			},
		})
	})
}

func BenchmarkApply(b *testing.B) {
	d := open(b, b.TempDir())
	defer d.Close()
	v := make([]byte, 150)
	for i := range b.N {
		var batch Batch
		batch.Put(0, fmt.Appendf(nil, "%08d%08d", i%100, i), v)
		if err := d.Apply(&batch); err != nil {
			b.Fatal(err)
		}
	}
}
