package sync

import (
	"encoding/json"
	"maps"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/repo"
)

// A device deletes what it condemned once a commit of every other says that it has seen
// that. So a commit of ours must not say it while something waits here that is made of what
// is condemned: a track that was retagged or copied with none of its sound here. The cut
// brings that sound here, and it is uploaded anew.

// heardKey names the meta value that other devices condemned objects, and that no commit of
// ours says yet that we heard: of each device the newest commit before.
const heardKey = "heard"

// hear notes that a commit of another device, which the index has not taken in yet, condemns
// objects.
func (w *Worker) hear(c *repo.Commit) error {
	if c.Device == w.o.Device.ID || len(c.Condemned) == 0 {
		return nil
	}
	before, _, err := w.unheard()
	if err != nil {
		return err
	}
	if _, ok := before[c.Device]; ok {
		return nil
	}
	heads, err := w.o.Index.Heads()
	if err != nil {
		return err
	}
	before[c.Device] = heads[c.Device]
	b, err := json.Marshal(before)
	if err != nil {
		return err
	}
	return w.cache.SetMeta(heardKey, b)
}

// unheard is what hear noted; any is false if it noted nothing.
func (w *Worker) unheard() (before map[string]repo.Head, any bool, err error) {
	before = map[string]repo.Head{}
	b, err := w.cache.Meta(heardKey)
	if err != nil || len(b) == 0 {
		return before, false, err
	}
	var noted map[string]repo.Head
	if json.Unmarshal(b, &noted) == nil { // older homes noted no more than that there was something
		maps.Copy(before, noted)
	}
	return before, true, nil
}

// seenOf leaves in heads, of the commits of others that this home has taken in, what the next
// commit may say that it has seen. It reports whether that tells news of what is condemned.
func (w *Worker) seenOf(heads map[string]repo.Head) (said bool, err error) {
	before, any, err := w.unheard()
	if err != nil || !any {
		return false, err
	}
	builds, err := w.buildsOnCondemned()
	if err != nil || !builds {
		return err == nil, err
	}
	for device, h := range before {
		if h.Seq == 0 {
			delete(heads, device)
		} else {
			heads[device] = h
		}
	}
	return false, nil
}

// buildsOnCondemned tells whether something waits that names a blob which lies in nothing
// but condemned objects.
func (w *Worker) buildsOnCondemned() (builds bool, err error) {
	err = w.cache.EachWaiting(func(r *cache.Recipe) error {
		for _, p := range r.Parts {
			for _, b := range p.Blobs {
				if builds || p.Owed || b.IsZeros() {
					continue
				}
				var err error
				if builds, err = w.o.Index.OnlyCondemned(b.ID); err != nil {
					return err
				}
			}
		}
		if r.More == nil || builds {
			return nil
		}
		var err error
		builds, err = w.o.Index.OnlyCondemned(r.More.ID)
		return err
	})
	return builds, err
}
