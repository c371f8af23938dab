package sync

import (
	"context"

	"golang.org/x/sync/errgroup"
)

// crew does transfers, some at once. A crew of one does each where it is asked
// for, so that everything happens in one order.
type crew struct {
	ctx   context.Context //nolint:containedctx // ends with the first error, as an errgroup's
	group *errgroup.Group // nil in a crew of one
	end   context.CancelCauseFunc
	err   error // the first of a crew of one
}

func newCrew(ctx context.Context, size int) *crew {
	c := &crew{}
	if size > 1 {
		c.group, c.ctx = errgroup.WithContext(ctx)
		c.group.SetLimit(size)
		return c
	}
	c.ctx, c.end = context.WithCancelCause(ctx)
	return c
}

// Go does f, or has it done and returns before.
func (c *crew) Go(f func() error) {
	if c.group != nil {
		c.group.Go(f)
		return
	}
	if err := f(); err != nil && c.err == nil {
		c.err = err
		c.end(err)
	}
}

// Wait returns the first error once all is done.
func (c *crew) Wait() error {
	if c.group != nil {
		return c.group.Wait()
	}
	c.end(nil)
	return c.err
}
