package thumbnail

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"
)

// Cache keeps small pictures in a folder, which may be removed at any time. Its
// methods may be called at once.
type Cache struct {
	dir  string
	most int64

	memory *semaphore.Weighted
	flight singleflight.Group
	failed *lru.Cache[string, error] // what cannot be made small, by name

	mu   sync.Mutex
	size int64 // of all files; -1: not counted yet
}

// Usual is how many bytes a home keeps: of some 10,000 albums.
const Usual = 192 << 20

const (
	// made changes when small pictures are made in another way.
	made = "1"
	// Files that were not asked for longer than this count as unused for longest.
	touched     = 24 * time.Hour
	knownFailed = 4096
)

// New makes a cache of up to most bytes in dir, which is made when it is needed.
func New(dir string, most int64) *Cache {
	failed, err := lru.New[string, error](knownFailed)
	if err != nil {
		panic(err) // the size is a constant
	}
	return &Cache{dir: dir, most: most, memory: semaphore.NewWeighted(maxMemory), failed: failed, size: -1}
}

// Get gives the picture of that tag, another for other bytes, made small. The
// original is read only if it was not made yet. [ErrUnknown] and [ErrTooLarge] say
// that it cannot be.
func (c *Cache) Get(ctx context.Context, tag string, width int, original func() ([]byte, error)) ([]byte, error) {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %s", made, width, tag))
	name := hex.EncodeToString(sum[:16])
	if err, ok := c.failed.Get(name); ok {
		return nil, err
	}
	for {
		v, err, _ := c.flight.Do(name, func() (any, error) { return c.get(ctx, name, width, original) })
		switch {
		case err == nil:
			return v.([]byte), nil
		case ctx.Err() == nil && errors.Is(err, context.Canceled): // who asked first went away
		default:
			return nil, err
		}
	}
}

func (c *Cache) get(ctx context.Context, name string, width int, original func() ([]byte, error)) ([]byte, error) {
	if b := c.load(name); b != nil {
		return b, nil
	}
	b, err := original()
	if err != nil {
		return nil, err
	}
	out, err := c.reduce(ctx, b, width)
	if errors.Is(err, ErrUnknown) || errors.Is(err, ErrTooLarge) {
		c.failed.Add(name, err)
	}
	if err != nil {
		return nil, err
	}
	c.keep(name, out)
	return out, nil
}

// reduce makes a picture small once there is memory for it.
func (c *Cache) reduce(ctx context.Context, b []byte, width int) ([]byte, error) {
	p, err := examine(b)
	if err != nil {
		return nil, err
	}
	if p.small(b, width) {
		return b, nil
	}
	if err := c.memory.Acquire(ctx, p.memory); err != nil {
		return nil, err
	}
	defer c.memory.Release(p.memory)
	return p.make(b, width)
}

// load reads a file of the cache; nil if it is not there, or not as it was written.
func (c *Cache) load(name string) []byte {
	file := filepath.Join(c.dir, name)
	b, err := os.ReadFile(file)
	if err != nil || len(b) < crc32.Size {
		return nil
	}
	n := len(b) - crc32.Size
	if crc32.ChecksumIEEE(b[:n]) != binary.BigEndian.Uint32(b[n:]) {
		return nil
	}
	if info, err := os.Stat(file); err == nil && time.Since(info.ModTime()) > touched {
		now := time.Now()
		_ = os.Chtimes(file, now, now) // at worst it goes too early
	}
	return b[:n:n]
}

// keep writes a file. It is no loss if that fails, or is cut short: its checksum
// tells.
func (c *Cache) keep(name string, b []byte) {
	if os.MkdirAll(c.dir, 0o700) != nil {
		return
	}
	b = binary.BigEndian.AppendUint32(slices.Clip(b), crc32.ChecksumIEEE(b))
	tmp := filepath.Join(c.dir, name+".new")
	if os.WriteFile(tmp, b, 0o600) != nil || os.Rename(tmp, filepath.Join(c.dir, name)) != nil {
		_ = os.Remove(tmp)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.size >= 0 {
		c.size += int64(len(b))
	}
	if c.size < 0 || c.size > c.most {
		c.evict()
	}
}

// evict counts what is there, and removes what was unused for longest if that is too
// much. The lock is held.
func (c *Cache) evict() {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return
	}
	c.size = 0
	infos := make([]fs.FileInfo, 0, len(entries))
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			infos = append(infos, info)
			c.size += info.Size()
		}
	}
	if c.size <= c.most {
		return
	}
	slices.SortFunc(infos, func(a, b fs.FileInfo) int {
		return cmp.Or(a.ModTime().Compare(b.ModTime()), cmp.Compare(a.Name(), b.Name()))
	})
	for _, info := range infos {
		if c.size <= c.most*3/4 { // so that it is not done for each
			return
		}
		if os.Remove(filepath.Join(c.dir, info.Name())) == nil {
			c.size -= info.Size()
		}
	}
}
