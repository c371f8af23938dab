package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/home"
	"github.com/tunesafe/tunesafe/internal/service"
)

var installCommand = &command{
	name:    "install",
	args:    "[DIR…]",
	summary: "have the agent started at login, once and for all",
	text: `Has tunesafe agent started whenever this user logs in, and now: by a unit of systemd
for this user, ~/.config/systemd/user/` + service.UnitName + `, or on macOS by launchd,
~/Library/LaunchAgents/` + service.PlistName + `. What is given here is kept in the
home's config.toml, under [agent], and given again replaces it; the rest stays. Each DIR
is backed up from then on, as by tunesafe backup DIR.

On a machine where nobody is logged in at night, loginctl enable-linger lets the agent
run all the same.

` + agentText + `

tunesafe uninstall undoes it and touches no data.`,
	bind: bindInstall,
}

var uninstallCommand = &command{
	name:    "uninstall",
	summary: "undo tunesafe install, and nothing else",
	text: `Stops the agent that tunesafe install had started, removes the file that starts it, and
the settings under [agent] in the home's config.toml. The home, the drive, the backup
and the folders stay as they are.`,
	bind: bindUninstall,
}

func bindInstall(f *pflag.FlagSet) action {
	over := agentFlags(f)
	dry := f.Bool("dry-run", false, "print what would be written, and do nothing")
	return func(ctx context.Context, e *env, args []string) error {
		c, err := e.home.Config()
		if err != nil {
			return err
		}
		kept := home.Agent{}
		if c.Agent != nil {
			kept = *c.Agent
		}
		a := over(kept)
		if _, err := planOf(a); err != nil {
			return err
		}
		if a.Mount != "" {
			if a.Mount, err = resolve(a.Mount); err != nil {
				return err
			}
		}
		for i, dir := range args {
			if args[i], err = resolve(dir); err != nil {
				return err
			}
		}
		i, err := newInstallation(e.home, a.Mount != "")
		if err != nil {
			return err
		}
		if *dry {
			fmt.Fprintf(e.stdout, "# %s\n%s", i.file, i.text)
			return nil
		}
		c.Agent = &a
		return install(ctx, e, c, i, args)
	}
}

func install(ctx context.Context, e *env, c home.Config, i *installation, dirs []string) error {
	if err := takeFolders(ctx, e, dirs); err != nil {
		return err
	}
	if err := e.home.SetConfig(c); err != nil {
		return err
	}
	if err := i.write(); err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "wrote %s\n", i.file)
	if err := i.start(ctx); err != nil {
		return err
	}
	fmt.Fprintln(e.stdout, "the agent is running, and will at every login; tunesafe status shows what it does")
	if hint := lingerHint(); hint != "" {
		fmt.Fprintln(e.stdout, hint)
	}
	return nil
}

func bindUninstall(f *pflag.FlagSet) action {
	dry := f.Bool("dry-run", false, "say what would be removed, and do nothing")
	return func(ctx context.Context, e *env, args []string) error {
		if err := want(args, 0, 0, ""); err != nil {
			return err
		}
		i, err := newInstallation(e.home, false)
		if err != nil {
			return err
		}
		old, err := os.ReadFile(i.file)
		switch {
		case errors.Is(err, iofs.ErrNotExist):
			fmt.Fprintln(e.stdout, "nothing is installed")
		case err != nil:
			return err
		case !strings.Contains(string(old), i.mark):
			return fmt.Errorf("%s %w", i.file, errOtherHome)
		case *dry:
			fmt.Fprintf(e.stdout, "would stop the agent and remove %s\n", i.file)
		default:
			if err := i.remove(ctx); err != nil {
				return err
			}
			fmt.Fprintf(e.stdout, "removed %s; the home and all data stay as they are\n", i.file)
		}
		if *dry {
			return nil
		}
		c, err := e.home.Config()
		if errors.Is(err, home.ErrNone) || err == nil && c.Agent == nil {
			return nil
		}
		if err != nil {
			return err
		}
		c.Agent = nil
		return e.home.SetConfig(c)
	}
}

// installation is a file that has the agent started.
type installation struct {
	file, text string
	mark       string // what the text has that is this home's
	launchd    bool
}

func newInstallation(h home.Home, serves bool) (*installation, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	user, err := os.UserHomeDir()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoHomeDir, err)
	}
	s := service.Service{Program: program, Home: string(h), Log: h.LogFile(), Serves: serves}
	if runtime.GOOS == "darwin" {
		return &installation{
			file: filepath.Join(user, "Library", "LaunchAgents", service.PlistName),
			text: s.Plist(), mark: s.HomeInPlist(), launchd: true,
		}, nil
	}
	config := os.Getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(config) {
		config = filepath.Join(user, ".config")
	}
	return &installation{
		file: filepath.Join(config, "systemd", "user", service.UnitName),
		text: s.Unit(), mark: s.HomeInUnit(),
	}, nil
}

func (i *installation) write() error {
	if err := os.MkdirAll(filepath.Dir(i.file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(i.file, []byte(i.text), 0o644) //nolint:gosec // it holds nothing private
}

// start has the service manager read the file and start the agent anew.
func (i *installation) start(ctx context.Context) error {
	if i.launchd {
		_ = run1(ctx, "launchctl", "unload", i.file) // it may not be loaded
		return run1(ctx, "launchctl", "load", "-w", i.file)
	}
	if err := i.enable(ctx); err != nil {
		return err
	}
	return run1(ctx, "systemctl", "--user", "restart", service.UnitName)
}

// enable has the service manager start the agent from the next login on.
func (i *installation) enable(ctx context.Context) error {
	if i.launchd {
		return nil // it reads the folder at login
	}
	if err := run1(ctx, "systemctl", "--user", "daemon-reload"); err != nil {
		return err
	}
	return run1(ctx, "systemctl", "--user", "enable", service.UnitName)
}

// serviceManager tells whether there is one that starts things at login.
func serviceManager(ctx context.Context) error {
	if runtime.GOOS == "darwin" {
		return nil
	}
	return run1(ctx, "systemctl", "--user", "show-environment")
}

// remove undoes write and start. Where no service manager can be reached none
// runs the agent.
func (i *installation) remove(ctx context.Context) error {
	if i.launchd {
		_ = run1(ctx, "launchctl", "unload", "-w", i.file)
		return os.Remove(i.file)
	}
	err := run1(ctx, "systemctl", "--user", "disable", "--now", service.UnitName)
	if err != nil && !errors.Is(err, errNoService) {
		return err
	}
	if err := os.Remove(i.file); err != nil {
		return err
	}
	link := filepath.Join(filepath.Dir(i.file), "default.target.wants", service.UnitName)
	if rerr := os.Remove(link); rerr != nil && !errors.Is(rerr, iofs.ErrNotExist) {
		return rerr
	}
	if err == nil {
		_ = run1(ctx, "systemctl", "--user", "daemon-reload") // it forgets the unit by itself in the end
	}
	return nil
}

// managerPatience is how long a service manager may take to start the agent.
const managerPatience = 2 * time.Minute

// run1 runs a command of the service manager.
func run1(ctx context.Context, name string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, managerPatience)
	defer cancel()
	manager := exec.CommandContext(ctx, name, args...)
	manager.Env = childEnv()
	out, err := manager.CombinedOutput()
	if err == nil {
		return nil
	}
	text := strings.TrimSpace(string(bytes.ToValidUTF8(out, nil)))
	if errors.Is(err, exec.ErrNotFound) || strings.Contains(text, "Failed to connect to bus") || strings.Contains(text, "not been booted with systemd") {
		return fmt.Errorf("%s: %w", name, errNoService)
	}
	return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, text)
}

// lingerHint reminds of machines on which nobody is logged in at night.
func lingerHint() string {
	if runtime.GOOS != "linux" || os.Geteuid() == 0 {
		return ""
	}
	if _, err := os.Stat(filepath.Join("/var/lib/systemd/linger", os.Getenv("USER"))); err == nil {
		return ""
	}
	return "hint: it ends when you log out; loginctl enable-linger keeps it running"
}

// takeFolders makes places of folders; the agent backs them up.
func takeFolders(ctx context.Context, e *env, dirs []string) error {
	if len(dirs) == 0 {
		return nil
	}
	r := control.BackupRequest{NoWait: true}
	for _, dir := range dirs {
		r.Dirs = append(r.Dirs, []byte(dir))
	}
	return backup(ctx, e, r)
}
