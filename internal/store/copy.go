package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
)

// parallelCopies is how many objects are copied at once; each is in memory.
const parallelCopies = 4

// maxCopied is the length of the longest object that is copied, in bytes.
const maxCopied = 64 << 20

// Copied is what [Copy] did, or would have to do.
type Copied struct {
	Objects, Bytes int64 // copied
	There          int64 // objects that were there already
	Foreign        int64 // objects of the source with names that no store of ours takes
}

// Copy puts into the store to what it lacks of from. What is there by name and
// size is not sent again where the name tells the bytes; other objects, all of
// them small, are compared. Those whose bytes differ stay in to if keep says so.
// Objects are put in the order of from, those that last names behind all others.
// What is copied under a name that tells its SHA-256 was found to have it.
func Copy(ctx context.Context, to, from Store, keep func(key string) bool, last string, progress func(done Copied, of int64, bytes int64)) (Copied, error) {
	there, err := sizes(ctx, to)
	if err != nil {
		return Copied{}, err
	}
	c := &copier{to: to, from: from, keep: keep, there: there, progress: progress}
	var todo []Info
	for info, err := range from.List(ctx, "", "") {
		if err != nil {
			return Copied{}, err
		}
		size, ok := there[info.Key]
		_, named := SumOf(info.Key)
		switch {
		case CheckKey(info.Key) != nil:
			c.done.Foreign++
		case ok && size == info.Size && named:
			c.done.There++
		default:
			todo = append(todo, info)
			c.bytes += info.Size
		}
	}
	c.of = int64(len(todo))
	slices.SortStableFunc(todo, func(a, b Info) int { return btoi(a.Key == last) - btoi(b.Key == last) })
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelCopies)
	for _, info := range todo {
		if info.Key == last {
			if err := g.Wait(); err != nil {
				return c.done, err
			}
			return c.done, c.copy(ctx, info)
		}
		g.Go(func() error { return c.copy(gctx, info) })
	}
	return c.done, g.Wait()
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func sizes(ctx context.Context, st Store) (map[string]int64, error) {
	m := map[string]int64{}
	for info, err := range st.List(ctx, "", "") {
		if err != nil {
			return nil, err
		}
		m[info.Key] = info.Size
	}
	return m, nil
}

type copier struct {
	to, from Store
	keep     func(string) bool
	there    map[string]int64
	of       int64 // objects to be copied
	bytes    int64 // of them
	progress func(Copied, int64, int64)

	mu   sync.Mutex
	done Copied
}

func (c *copier) copy(ctx context.Context, info Info) error {
	body, err := get(ctx, c.from, info.Key)
	if errors.Is(err, ErrNotExist) { // deleted since it was listed
		return nil
	}
	if err != nil {
		return err
	}
	sum, named := SumOf(info.Key)
	if named && sha256.Sum256(body) != sum {
		return fmt.Errorf("%s: %w", info.Key, ErrDamaged)
	}
	put, err := c.needed(ctx, info.Key, body, named)
	if err == nil && put {
		err = c.to.Put(ctx, info.Key, body)
	}
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if put {
		c.done.Objects++
		c.done.Bytes += int64(len(body))
	} else {
		c.done.There++
	}
	if c.progress != nil {
		c.progress(c.done, c.of, c.bytes)
	}
	return nil
}

// needed tells whether the object must be put.
func (c *copier) needed(ctx context.Context, key string, body []byte, named bool) (bool, error) {
	if _, ok := c.there[key]; !ok || named {
		return true, nil
	}
	other, err := get(ctx, c.to, key)
	return string(other) != string(body) && !c.keep(key), err
}

func get(ctx context.Context, st Store, key string) ([]byte, error) {
	r, err := st.Get(ctx, key, 0, -1)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	body, err := io.ReadAll(io.LimitReader(r, maxCopied+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	if len(body) > maxCopied {
		return nil, fmt.Errorf("%s: more than %d bytes: %w", key, maxCopied, ErrDamaged)
	}
	return body, nil
}

// Difference is where two stores are not alike.
type Difference struct {
	Missing []string // from the copy
	Resized []string // of another size there
	Changed []string // of other bytes; only of objects whose names do not tell them
	More    []string // in the copy alone
}

// Compare compares a copy with what it is of: names, sizes, and the bytes of
// those objects whose names do not tell them.
func Compare(ctx context.Context, copied, of Store) (d Difference, err error) {
	there, err := sizes(ctx, copied)
	if err != nil {
		return d, err
	}
	for info, err := range of.List(ctx, "", "") {
		if err != nil {
			return d, err
		}
		size, ok := there[info.Key]
		delete(there, info.Key)
		switch _, named := SumOf(info.Key); {
		case CheckKey(info.Key) != nil:
		case !ok:
			d.Missing = append(d.Missing, info.Key)
		case size != info.Size:
			d.Resized = append(d.Resized, info.Key)
		case !named && !strings.HasPrefix(info.Key, "checkpoints/"):
			a, err := get(ctx, of, info.Key)
			if err != nil {
				return d, err
			}
			b, err := get(ctx, copied, info.Key)
			if err != nil {
				return d, err
			}
			if string(a) != string(b) {
				d.Changed = append(d.Changed, info.Key)
			}
		}
	}
	for key := range there {
		d.More = append(d.More, key)
	}
	slices.Sort(d.More)
	return d, nil
}
