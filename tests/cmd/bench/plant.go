package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/home"
)

const perFolder = 100 // files of each folder of a tree

// makeTree makes so many empty files.
func makeTree(dir string, files int) error {
	for i := range files {
		p := filepath.Join(dir, folderName(i/perFolder), fileName(i))
		if i%perFolder == 0 {
			if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
				return err
			}
		}
		f, err := os.OpenFile(p, os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}

func folderName(i int) string { return fmt.Sprintf("Artist %d - Album %d", i/4, i%4) }
func fileName(i int) string {
	return fmt.Sprintf("%02d - A title of usual length %d.mp3", i%perFolder, i)
}

// plant makes the same tree in a home that no process has open: known to the
// bucket as far as the home can tell, and with contents here or not.
func plant(dir string, files int, here bool) error {
	h := home.Home(dir)
	c, err := cache.Open(h.StateDir(), cache.Options{ContentDir: h.ContentDir(), InoBase: 5 << 40, SyncEvery: time.Hour})
	if err != nil {
		return err
	}
	if here {
		err = plantHere(c, files)
	} else {
		err = plantKnown(c, files)
	}
	if e := c.Close(); err == nil {
		err = e
	}
	return err
}

func plantHere(c *cache.Cache, files int) error {
	var dir cache.Attr
	var err error
	for i := range files {
		if i%perFolder == 0 {
			if dir, err = c.Mkdir(cache.Root, folderName(i/perFolder), 0o755, cache.Owner{}); err != nil {
				return err
			}
		}
		a, err := c.Mknod(dir.Ino, fileName(i), unix.S_IFREG|0o644, 0, cache.Owner{})
		if err != nil {
			return err
		}
		s, err := c.Snapshot(a.Ino)
		if err != nil {
			return err
		}
		err = s.SetRecipe(cache.Recipe{})
		s.Close()
		if err != nil {
			return err
		}
	}
	batch, _, err := c.Pending(math.MaxInt)
	if err != nil {
		return err
	}
	return c.Committed(batch, "planted")
}

// plantKnown takes the tree in as from the bucket, an album at a time.
func plantKnown(c *cache.Cache, files int) error {
	const base = 6 << 40
	now := time.Now()
	for i := 0; i < files; i += perFolder {
		dir := uint64(base + files + i/perFolder)
		rows := []cache.Row{{Ino: dir, Mode: unix.S_IFDIR | 0o755, Mtime: now, Parent: cache.Root, Name: folderName(i / perFolder)}}
		var names []cache.NameRow
		for k := i; k < min(i+perFolder, files); k++ {
			ino := uint64(base + k)
			blob := cache.Blob{Size: 5 << 20}
			copy(blob.ID[:], fmt.Sprintf("%016x", ino))
			rows = append(rows, cache.Row{Ino: ino, Mode: unix.S_IFREG | 0o644, Mtime: now, Recipe: &cache.Recipe{
				Size:  5 << 20,
				Parts: []cache.Part{{Kind: "audio", Size: 5 << 20, Blobs: []cache.Blob{blob}}},
				Runs:  []cache.Run{{Length: 5 << 20}},
			}})
			names = append(names, cache.NameRow{Parent: dir, Name: fileName(k), Ino: ino})
		}
		if err := c.Absorb(rows, names, "planted"); err != nil {
			return err
		}
	}
	return nil
}
