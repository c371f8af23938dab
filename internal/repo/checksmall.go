package repo

import (
	"bytes"
	"context"
	"errors"

	"github.com/tunesafe/tunesafe/internal/store"
)

// checkSmall compares the files of keys/ with what this home keeps of them: only
// their owners' keys could tell more. With Read it also reads what nobody depends
// on, readme.txt and the hints, as a bucket that flips bits there flips them elsewhere.
func (c *checker) checkSmall(ctx context.Context) error {
	there := map[string]bool{}
	for info, err := range c.st.List(ctx, "keys/", "") {
		if err != nil {
			return err
		}
		there[keyOf(info.Key)] = true
	}
	for _, name := range c.opts.Kept.Names("keys/") {
		was := c.opts.Kept.Get(name)
		is, err := getAll(ctx, c.st, name, maxSmall)
		switch {
		case errors.Is(err, store.ErrNotExist) && there[keyOf(name)] && name != recoveryFile && name != rootFile:
			c.find(KindMissing, name, ErrMissing, "missing from the bucket, which has other files of that key")
		case errors.Is(err, store.ErrNotExist), errors.Is(err, ErrCorrupt), was == nil: // found by checkKeys, or removed by another device
		case err != nil:
			return err
		case !bytes.Equal(is, was) && damagedCopy(was, is):
			c.find(KindDamaged, name, ErrCorrupt, "not what this home saw there before")
		case c.opts.Kept.nameOf(is, name) != name:
			c.find(KindExchanged, name, ErrCorrupt, "what this home saw as %s before", c.opts.Kept.nameOf(is, name))
		}
	}
	if err := c.checkRecovery(ctx); err != nil {
		return err
	}
	body, err := getAll(ctx, c.st, readmeFile, maxSmall)
	switch {
	case errors.Is(err, store.ErrNotExist):
		c.find(KindReadme, readmeFile, nil, "missing from the bucket; it says how to restore without Tunesafe")
	case err != nil && !errors.Is(err, ErrCorrupt):
		return err
	case err != nil || !bytes.Equal(body, readme):
		c.find(KindReadme, readmeFile, nil, "not what this version of Tunesafe writes")
	}
	return nil
}

// checkRecovery looks whether the recovery key opens what it should.
func (c *checker) checkRecovery(ctx context.Context) error {
	if c.opts.Recovery == nil {
		return nil
	}
	for _, name := range []string{recoveryFile, rootFile} {
		body, err := getAll(ctx, c.st, name, maxSmall)
		if errors.Is(err, store.ErrNotExist) || errors.Is(err, ErrCorrupt) {
			continue // found by checkKeys
		}
		if err != nil {
			return err
		}
		text, err := openSealed(name, body, c.opts.Recovery)
		if err != nil || !c.k.opensRight(name, text) {
			c.find(KindExchanged, name, ErrCorrupt, "the recovery key does not open it, or not to what it should hold")
		}
	}
	return nil
}

// checkHints looks for the hint of every checkpoint, and with Read into them.
func (c *checker) checkHints(ctx context.Context) error {
	for _, commit := range c.checkpoints {
		hint := HintName(commit)
		if !c.hints[hint] {
			c.sum.BadHints = append(c.sum.BadHints, hint)
			c.find(KindHint, hint, nil, "missing: the hint to a checkpoint")
			continue
		}
		if !c.opts.Read {
			continue
		}
		body, err := getAll(ctx, c.st, hint, maxSmall)
		if errors.Is(err, store.ErrNotExist) {
			continue
		}
		if err != nil && !errors.Is(err, ErrCorrupt) {
			return err
		}
		if err != nil || string(body) != "\n" {
			c.sum.BadHints = append(c.sum.BadHints, hint)
			c.find(KindHint, hint, nil, "not what was written there; only its name counts")
		}
	}
	return nil
}

// forgive makes harmless what was found about commits of which a later one says that
// they are lost, and that it says again what is known of what they said.
func (c *checker) forgive(context.Context) error {
	for i, f := range c.findings {
		device, h, err := parseCommitName(f.Object)
		if err != nil || !c.lost[f.Object] && !c.lost[lostName(device, Head{Seq: h.Seq})] || f.Kind == KindForked {
			continue
		}
		c.findings[i] = Finding{Kind: KindLost, Object: f.Object, Problem: f.Problem + "; a later commit says that it is lost, and again what is known of it", Harmless: true}
	}
	return nil
}

// reportGaps reports the commits from seq up to, but not, next, unless they are
// known as lost. It is called when all that can be read was.
func (c *checker) reportGaps() {
	known := map[string]map[uint64]bool{}
	for name := range c.lost {
		if device, h, err := ParseLost(name); err == nil {
			if known[device] == nil {
				known[device] = map[uint64]bool{}
			}
			known[device][h.Seq] = true
		}
	}
	for _, g := range c.gaps {
		from, to := g.from, g.to
		for from < to && known[g.device][from] {
			from++
		}
		for from < to && known[g.device][to-1] {
			to--
		}
		if from < to {
			c.find(KindBroken, g.before, ErrChain, "commits %d to %d of device %s before it are missing", from, to-1, g.device)
		}
	}
}

// gap is a row of commits that are missing from a device's chain: from up to, but
// not, to, before the commit of the name before.
type gap struct {
	device, before string
	from, to       uint64
}
