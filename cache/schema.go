package cache

import (
	"encoding/binary"
	"fmt"

	"github.com/tunesafe/tunesafe/internal/kv"
)

// migration rewrites rows of one schema into those of the next. It puts all its
// changes into the batch, which is applied whole or not at all.
type migration func(c *Cache, b *kv.Batch) error

// migrations lead from schema 1 on: the first makes schema 2 of it. They are
// never changed or removed, as a home may be of any age.
var migrations = []migration{places}

// places makes schema 2, which has the buckets place, source and label, empty at
// first, and a field of inodes that programs before it would drop.
func places(*Cache, *kv.Batch) error { return nil }

var schemaKey = metaKey("schema")

// newestSchema is the schema that this program writes.
func (c *Cache) newestSchema() uint64 { return 1 + uint64(len(c.migrations)) }

// refuseNewer is asked before anything of the database is touched.
func (c *Cache) refuseNewer(row func(kv.Bucket, []byte) []byte) error {
	if v := row(bMeta, schemaKey); len(v) == 8 && binary.BigEndian.Uint64(v) > c.newestSchema() {
		return ErrNewerHome
	}
	return nil
}

// migrate brings the rows to the newest schema, in one batch that is in bbolt when
// it returns: from then on an older program refuses the home.
func (c *Cache) migrate() error {
	v, ok, err := c.db.Get(bMeta, schemaKey)
	if err != nil {
		return err
	}
	from := c.newestSchema()
	if ok {
		from = binary.BigEndian.Uint64(v)
	}
	switch {
	case from > c.newestSchema(): // it was still in the journal
		return ErrNewerHome
	case ok && from == c.newestSchema():
		return nil
	}
	var b kv.Batch
	for ; from < c.newestSchema(); from++ {
		c.log.Info("bringing the home to the schema of this version", "from", from, "to", from+1)
		if err := c.migrations[from-1](c, &b); err != nil {
			return fmt.Errorf("bringing the home from schema %d to %d: %w", from, from+1, err)
		}
	}
	b.Put(bMeta, schemaKey, binary.BigEndian.AppendUint64(nil, from))
	if err := c.db.Apply(&b); err != nil {
		return err
	}
	return c.db.Flush()
}
