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
			c.missing(name, o)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.acked)) {
		if _, ok := there[name]; !ok {
			c.find(KindMissing, name, ErrMissing, "missing from the bucket, which acknowledged it")
		}
	}
	return nil
}

// missing finds an object that is needed by the log and not there.
func (c *checker) missing(name string, o *checkedObject) {
	kind, why := KindMissing, "no commit condemned it: the store lost it, or somebody removed it who can write to the bucket"
	if by := c.deleted[name]; by != nil {
		kind, why = KindCondemned, "deleted by "+by.String()+", though no commit condemned it"
	}
	f := c.find(kind, name, ErrMissing, "missing from the bucket: put by %s, and %s", o.put, why)
	f.Put = o.put
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
	case inFolder && folder == "devices" && c.isOfDevice(info.Key):
	default:
		c.foreign(info, "not an object of a repository")
	}
}

// foreign finds what Tunesafe never wrote.
func (c *checker) foreign(info store.Info, why string) {
	c.find(KindForeign, info.Key, ErrForeign, "%s; %d bytes, changed at %s", why, info.Size, info.Time.UTC().Format(time.RFC3339))
}

// isOfDevice tells whether that object is of a device whose certificate was read,
// or found already.
func (c *checker) isOfDevice(name string) bool {
	device, _, _ := strings.Cut(strings.TrimSuffix(path.Base(name), ".age"), "-")
	_, ok := c.certs[device]
	return ok && isDeviceFile(name) || c.badCerts[name]
}

// isDeviceFile tells whether a device may have that below devices/: its
// certificate, its retirement, or its keys of an epoch.
func isDeviceFile(name string) bool {
	_, _, epoch := parseEpochName(name)
	_, retired := parseRetiredName(name)
	return epoch || retired || isHex(strings.TrimSuffix(path.Base(name), ".age"), 16) && path.Dir(name) == "devices"
}

func (c *checker) listedCommit(info store.Info) {
	device, _, err := parseCommitName(info.Key)
	_, certified := c.certs[device]
	switch {
	case err != nil && isRetiredMark(info.Key):
		c.listedMark(strings.Split(info.Key, "/")[1])
	case err != nil && c.isEpochMark(info.Key):
	case err != nil:
		c.foreign(info, "not the name of a commit")
	case !certified:
		c.find(KindUnsigned, info.Key, ErrSignature, "commit of a device that has no certificate")
	case !c.listedCommits[info.Key]:
		c.find(KindNew, info.Key, nil, "written while the check ran")
	}
}

// isEpochMark tells whether an object says to a device of the repository that a key
// epoch began.
func (c *checker) isEpochMark(name string) bool {
	device, _, ok := parseEpochMark(name)
	_, certified := c.certs[device]
	return ok && certified
}

// listedMark looks for the statement that a device was retired, of which the log
// has a copy.
func (c *checker) listedMark(device string) {
	if cert, ok := c.certs[device]; ok && cert.Retired == nil && !c.badCerts[retiredName(device)] {
		c.find(KindMissing, retiredName(device), ErrMissing, "missing from the bucket, and without it the commits of a retired device count again: copy %s to it", retiredMark(device))
	}
}

func (c *checker) listedHint(info store.Info) {
	name, err := parseHint(info.Key)
	c.hints[info.Key] = true
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
		state := "not deleted yet"
		if by := c.deleted[info.Key]; by != nil {
			state = "still there, though " + by.String() + " says that it was deleted"
		}
		f := c.find(KindDiscarded, info.Key, nil, "condemned by %s (%s), and %s", gone.condemned, gone.condemned.Why, state)
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
