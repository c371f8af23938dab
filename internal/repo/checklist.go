package repo

import (
	"context"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/tunesafe/tunesafe/internal/store"
)

// uploading is how long an object may be in the bucket before the commit that
// names it: a first backup over a slow line commits every few minutes, and a
// machine may sleep in between.
const uploading = 24 * time.Hour

// listBucket compares what is in the bucket with what should be. It comes after
// the log: what is written meanwhile is at worst unreferenced.
func (c *checker) listBucket(ctx context.Context) error {
	there := map[string]bool{}
	for info, err := range c.st.List(ctx, "", "") {
		if err != nil {
			return err
		}
		there[info.Key] = c.objects[info.Key] != nil
		c.listed(info)
	}
	for _, name := range slices.Sorted(maps.Keys(c.objects)) {
		o := c.objects[name]
		c.sum.Objects++
		c.sum.Bytes += o.row.Size
		if !there[name] {
			f := c.find(KindMissing, name, ErrMissing,
				"missing from the bucket: put by %s, and no commit condemned it: the store lost it, or somebody removed it who can write to the bucket", o.put)
			f.Put = o.put
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.acked)) {
		if _, ok := there[name]; !ok {
			c.find(KindMissing, name, ErrMissing, "missing from the bucket, which acknowledged it")
		}
	}
	return nil
}

// listed judges one object of the bucket.
func (c *checker) listed(info store.Info) {
	folder, rest, inFolder := strings.Cut(info.Key, "/")
	switch {
	case !inFolder && (info.Key == repoFile || info.Key == "readme.txt"):
	case inFolder && (folder == "audio" || folder == "meta"):
		c.listedObject(info)
	case inFolder && folder == "log":
		c.listedCommit(info)
	case inFolder && folder == "checkpoints":
		c.listedHint(info)
	case inFolder && folder == "keys" && path.Ext(rest) == ".age" && !strings.Contains(rest, "/"):
	case inFolder && folder == "devices" && c.isCertificate(info.Key):
	default:
		c.foreign(info, "not an object of a repository")
	}
}

// foreign finds what Tunesafe never wrote.
func (c *checker) foreign(info store.Info, why string) {
	c.find(KindForeign, info.Key, ErrForeign, "%s; %d bytes, changed at %s", why, info.Size, info.Time.UTC().Format(time.RFC3339))
}

// isCertificate tells whether that object was read as one, or found already.
func (c *checker) isCertificate(name string) bool {
	device := strings.TrimSuffix(path.Base(name), ".age")
	_, ok := c.certs[device]
	return ok && name == "devices/"+device+".age" || c.badCerts[name]
}

func (c *checker) listedCommit(info store.Info) {
	device, _, err := parseCommitName(info.Key)
	_, certified := c.certs[device]
	switch {
	case err != nil:
		c.foreign(info, "not the name of a commit")
	case !certified:
		c.find(KindUnsigned, info.Key, ErrSignature, "commit of a device that has no certificate")
	case !c.listedCommits[info.Key]:
		c.find(KindNew, info.Key, nil, "written while the check ran")
	}
}

func (c *checker) listedHint(info store.Info) {
	name, err := parseHint(info.Key)
	switch {
	case err != nil:
		c.foreign(info, "not the name of a hint")
	case c.commits[name] == nil:
		c.find(KindHint, info.Key, nil, "hint that leads to no commit")
	}
}

func (c *checker) listedObject(info store.Info) {
	o, gone := c.objects[info.Key], c.condemned[info.Key]
	switch {
	case o != nil && info.Size == o.row.Size:
		o.good = true
	case o != nil:
		f := c.find(KindResized, info.Key, ErrCorrupt, "%d bytes, was written with %d by %s", info.Size, o.row.Size, o.put)
		f.Put = o.put
	case gone != nil:
		c.sum.Discarded++
		gone.good = info.Size == gone.row.Size
		f := c.find(KindDiscarded, info.Key, nil, "condemned by %s (%s), and not deleted yet", gone.condemned, gone.condemned.Why)
		f.Put, f.Condemned = gone.put, gone.condemned
	case c.acked[info.Key]:
	default:
		c.unreferenced(info)
	}
}

// unreferenced judges an object of the music's folders that no commit names:
// one that an upload left, or will yet name, or somebody else's.
func (c *checker) unreferenced(info store.Info) {
	if checkObjectName(info.Key) != nil {
		c.foreign(info, "not the name of an object")
		return
	}
	if _, err := plainSize(info.Size); err != nil {
		c.foreign(info, "named like an object, and of a size that none has")
		return
	}
	c.sum.Unreferenced++
	if age := c.now.Sub(info.Time); !info.Time.IsZero() && age > uploading {
		c.find(KindLeftover, info.Key, nil, "no commit names it; an upload that was interrupted %d days ago leaves such objects", int(age.Hours()/24))
		return
	}
	c.find(KindUnfinished, info.Key, nil, "no commit names it yet; an upload under way, or interrupted, leaves such objects")
}
