package main

import (
	"context"
	"fmt"
	"time"

	"github.com/tunesafe/tunesafe/internal/agent"
	"github.com/tunesafe/tunesafe/internal/control"
)

// nightly is how often something is done each night: windows open a little earlier
// or later than a day ago.
const nightly = 20 * time.Hour

// duties are what the agent does beside the backups.
func (o *owner) duties() (list []agent.Duty) {
	if o.plan == nil {
		return nil // a mount alone does nothing by itself
	}
	if o.plan.check != nil {
		list = append(list, agent.Duty{Name: "check", Every: nightly, Do: o.checkNightly})
	}
	return list
}

// checkNightly reads a part of the store. What it finds is told by the status, as
// something that needs a person.
func (o *owner) checkNightly(ctx context.Context) error {
	r, err := o.Check(ctx, control.CheckRequest{Part: o.plan.check, Quick: true}, func(control.CheckProgress) {})
	for _, f := range r.Findings {
		o.log.Error("the store", "what", f.Kind, "object", f.Object, "problem", f.Text, "files", f.FileCount)
	}
	o.log.Info("a part of the store was read", "objects", r.Read, "bytes", r.ReadBytes, "of", r.Objects, "never read", r.Never, "problems", r.Problems())
	if err != nil {
		return fmt.Errorf("check of a part of the store: %w", err)
	}
	return nil
}
