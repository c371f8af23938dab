package sync

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/store"
	"github.com/tunesafe/tunesafe/internal/store/s3"
	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
	"github.com/tunesafe/tunesafe/tests/s3proxy"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// thirty has three of ten requests fail, in every way.
func thirty(seed int64) s3proxy.Faults {
	return s3proxy.Faults{Unavailable: 0.04, Internal: 0.04, TooMany: 0.04, Drop: 0.04, Lose: 0.04, CutUp: 0.04, CutDown: 0.03,
		DamageUp: 0.03, Seed: seed}
}

// TestThirtyPercentFail does operations on the drive while three of ten requests
// fail: the worker, the S3 client, HTTP through the proxy, and a real server in a
// process of its own. In the end everything is safe and the bucket is exactly
// right, read back by a device that has nothing else.
func TestThirtyPercentFail(t *testing.T) {
	ops := tools.Count(t, 500, 10_000, 100_000)
	seed := tools.Seed(t)
	server := realserver.StartEmbedded(t)
	proxy := s3proxy.Start(server.Endpoint)
	t.Cleanup(proxy.Close)
	w := overHTTP(t, server, proxy.URL)
	d := w.device("one")
	proxy.Set(thirty(seed))
	rng := rand.New(rand.NewPCG(uint64(seed), 30))
	files := map[string][]byte{}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Hour)
	defer cancel()
	begun := time.Now()
	hurry, stop := context.WithCancel(ctx)
	hurried := make(chan struct{})
	go func() { // somebody always waits, so that there are many commits
		defer close(hurried)
		for hurry.Err() == nil {
			d.w.Wait(hurry)
		}
	}()
	for n := range ops {
		someOp(d, rng, files)
		if n%40 == 39 {
			seq := d.seq()
			for until := time.Now().Add(2 * time.Second); d.seq() == seq && time.Now().Before(until); {
				time.Sleep(5 * time.Millisecond)
			}
		}
	}
	stop()
	<-hurried
	if err := d.w.Wait(ctx); err != nil {
		t.Fatalf("with three of ten requests failing: %v; status %+v", err, d.w.Status())
	}
	took := time.Since(begun)
	stats := proxy.Stats()
	failed := int64(0)
	for _, n := range stats.Faults {
		failed += n
	}
	proxy.Set(s3proxy.Faults{})
	t.Logf("figure: %d operations in %.0f s, %d commits; %d requests, %d of them failed (%.0f %%): %v", ops, took.Seconds(), d.seq(),
		stats.Requests, failed, 100*float64(failed)/float64(stats.Requests), stats.Faults)
	if share := float64(failed) / float64(stats.Requests); stats.Requests > 100 && (share < 0.15 || share > 0.45) {
		t.Errorf("%d of %d requests failed", failed, stats.Requests)
	}
	d.close()
	w.sameAs(files)
	cold := w.device("check")
	defer cold.close()
	findings, sum, err := repo.Check(context.Background(), w.mem, w.keys, cold.index, repo.CheckOptions{Read: true})
	if err != nil || sum.Owed > 0 {
		t.Fatalf("check: %v, %d owed", err, sum.Owed)
	}
	for _, f := range findings {
		if !f.Harmless {
			t.Errorf("check: %s: %s", f.Object, f.Problem)
		}
	}
}

// seq is the number of the device's newest commit.
func (d *device) seq() uint64 {
	d.t.Helper()
	heads, err := d.index.Heads()
	if err != nil {
		d.t.Fatal(err)
	}
	return heads[d.dev.ID].Seq
}

// overHTTP is a world whose bucket is reached at an endpoint.
func overHTTP(t *testing.T, server *realserver.Server, endpoint string) *world {
	t.Helper()
	s, err := s3.Open(t.Context(), s3.Config{Bucket: "music", Endpoint: endpoint, Region: "us-east-1",
		Credentials: s3.Credentials{AccessKey: server.AccessKey, SecretKey: server.SecretKey}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.EnsureBucket(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	id, err := repo.NewRecoveryKey()
	if err != nil {
		t.Fatal(err)
	}
	keys, root, err := repo.Create(context.Background(), s, id)
	if err != nil {
		t.Fatal(err)
	}
	return &world{t: t, st: store.Count(s), mem: s, raw: s, keys: keys, root: root}
}

// someOp does something to the files of the top directory.
func someOp(d *device, rng *rand.Rand, files map[string][]byte) {
	d.t.Helper()
	name := fmt.Sprintf("%03d.wav", rng.IntN(150))
	old, there := files[name]
	switch k := rng.IntN(10); {
	case !there || k < 3:
		files[name] = wav(rng, 2000+rng.IntN(40_000))
		d.write(name, files[name])
	case k < 7: // a tag edit
		a, err := d.cache.Lookup(cache.Root, name)
		if err != nil {
			d.t.Fatal(err)
		}
		h, err := d.cache.OpenFile(a.Ino, cache.OpenFlags{Write: true})
		if err != nil {
			d.t.Fatal(err)
		}
		tag := fmt.Appendf(nil, "tag %d", rng.Uint64())
		if _, err := h.WriteAt(tag, int64(len(old))); err != nil {
			d.t.Fatal(err)
		}
		if err := h.Release(); err != nil {
			d.t.Fatal(err)
		}
		files[name] = append(bytes.Clone(old), tag...)
	case k < 8:
		if err := d.cache.Unlink(cache.Root, name); err != nil {
			d.t.Fatal(err)
		}
		delete(files, name)
	case k < 9:
		to := strings.Replace(name, ".wav", ".old", 1)
		if err := d.cache.Rename(cache.Root, name, cache.Root, to, cache.RenameFlags{}); err != nil {
			d.t.Fatal(err)
		}
		files[to] = old
		delete(files, name)
	default:
		if got := d.read(name); !bytes.Equal(got, old) {
			d.t.Fatalf("%s: %d other bytes", name, len(got))
		}
	}
}
