package main

import (
	"context"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/tunesafe/tunesafe/internal/control"
)

var approveCommand = &command{
	name:    "approve",
	args:    "[NAME]",
	summary: "let the next backup apply what it held",
	text: `A backup holds what looks like a disaster in the folder; see tunesafe help backup.
Approve says that it is none: the next backup of the place NAME, or of all, applies
what was held, and no more than that.`,
	bind: func(f *pflag.FlagSet) action { return bindDecide(true) },
}

var rejectCommand = &command{
	name:    "reject",
	args:    "[NAME]",
	summary: "keep in the backup what was held",
	text: `A backup holds what looks like a disaster in the folder; see tunesafe help backup.
Reject keeps the files concerned in the place NAME, or in all, as they were, and asks
no more until other files are concerned. tunesafe restore gets them back. Once the
folder has them again the matter is forgotten.`,
	bind: func(f *pflag.FlagSet) action { return bindDecide(false) },
}

func bindDecide(approve bool) action {
	return func(ctx context.Context, e *env, args []string) error {
		if err := want(args, 0, 1, ""); err != nil {
			return err
		}
		r := control.DecideRequest{Approve: approve}
		if len(args) == 1 {
			r.Name = []byte(args[0])
		}
		return withOwner(ctx, e, func(o control.Owner) error {
			report, err := o.Decide(ctx, r)
			if err != nil {
				return err
			}
			for _, h := range report.Held {
				fmt.Fprintln(e.stdout, h.Text)
			}
			if approve {
				fmt.Fprintln(e.stdout, "the next backup applies this")
			} else {
				fmt.Fprintln(e.stdout, "the backup stays as it is")
			}
			return nil
		})
	}
}
