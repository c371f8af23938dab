package kv

import (
	"path/filepath"

	"github.com/tunesafe/tunesafe/internal/pages"
)

// Salvage gives fn what can still be read of a database that cannot be opened:
// rows of the database, of bucket -1 as theirs is not known, in no order and
// perhaps outdated, then those of its journals, which are newer.
func Salvage(dir string, fn func(b int, key, value []byte)) {
	// What is unreadable yields nothing, and is no news.
	_ = pages.Salvage(filepath.Join(dir, "namespace.db"), func(k, v []byte) { fn(-1, k, v) })
	seqs, _ := journals(dir)
	for _, s := range seqs {
		_, _, _ = replay(journalPath(dir, s), func(ops []op) {
			for _, o := range ops {
				if !o.gone {
					fn(int(o.bucket), o.key, o.value)
				}
			}
		}, func(link) bool { return true })
	}
}
