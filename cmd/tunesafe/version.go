package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/pflag"

	"github.com/tunesafe/tunesafe/internal/repo"
)

// version is set by the Makefile; a build without it tells its commit.
var version = ""

var versionCommand = &command{
	name:    "version",
	summary: "print the version",
	text:    `Prints the version, the format of repositories it writes, and what built it.`,
	bind: func(*pflag.FlagSet) action {
		return func(_ context.Context, e *env, args []string) error {
			if err := want(args, 0, 0, ""); err != nil {
				return err
			}
			fmt.Fprintf(e.stdout, "tunesafe %s\nrepository format %d\n%s %s/%s\n",
				versionText(), repo.Format, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return nil
		}
	},
}

func versionText() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	text := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && (text == "" || text == "(devel)") {
			text = s.Value
		}
	}
	if text == "" {
		return "unknown"
	}
	return text
}
