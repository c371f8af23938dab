package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/tunesafe/tunesafe/internal/api"
	"github.com/tunesafe/tunesafe/internal/home"
	"github.com/tunesafe/tunesafe/internal/retain"
)

// readTokens reads what is kept of the tokens of the page's interface.
func readTokens(h home.Home) (list []api.Token, err error) {
	text, err := os.ReadFile(h.TokensFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", h.TokensFile(), home.ErrConfig, err)
	}
	return list, nil
}

func writeTokens(h home.Home, list []api.Token) error {
	text, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return err
	}
	return home.WriteFile(h.TokensFile(), append(text, '\n'))
}

// tokens is "token list", "token add NAME" and "token remove NAME".
func tokens(e *env, args []string, readOnly bool, expires string) error {
	if err := want(args, 1, 2, "list, add or remove"); err != nil {
		return err
	}
	if args[0] != "add" && expires != "" {
		return misuse("--expires is for add")
	}
	if err := e.home.Check(); err != nil {
		return err
	}
	list, err := readTokens(e.home)
	if err != nil {
		return err
	}
	switch {
	case args[0] == "list" && len(args) == 1:
		return listTokens(e, list)
	case args[0] != "add" && args[0] != "remove":
		return misuse("unexpected argument %q", args[len(args)-1])
	case len(args) == 1:
		return misuse("NAME is missing")
	}
	i := slices.IndexFunc(list, func(t api.Token) bool { return t.Name == args[1] })
	switch {
	case args[0] == "add" && i >= 0:
		return fmt.Errorf("%s: %w", args[1], errTokenExists)
	case args[0] == "add":
		text, now := rand.Text(), time.Now().UTC().Truncate(time.Second)
		t := api.Token{Name: args[1], Sum: api.Sum(text), Created: now, ReadOnly: readOnly}
		if expires != "" {
			life, err := retain.ParseSpan(expires)
			if err != nil || life.IsZero() {
				return misuse("--expires %q is no time; write it as 90d", expires)
			}
			t.Expires = now.AddDate(life.Years, life.Months, life.Days).Add(time.Duration(life.Hours) * time.Hour)
		}
		if err := writeTokens(e.home, append(list, t)); err != nil {
			return err
		}
		fmt.Fprintln(e.stdout, text)
		return nil
	case i < 0:
		return fmt.Errorf("%s: %w", args[1], errNoToken)
	}
	return writeTokens(e.home, slices.Delete(list, i, i+1))
}

func listTokens(e *env, list []api.Token) error {
	used := readUse(e.home)
	t := tabwriter.NewWriter(e.stdout, 0, 0, 3, ' ', 0)
	for _, k := range list {
		what, until, last := "everything", "for ever", "never used"
		if k.ReadOnly {
			what = "reading"
		}
		if !k.Expires.IsZero() {
			until = "until " + k.Expires.Local().Format(time.DateTime)
			if !k.Good(time.Now()) {
				until = "expired " + k.Expires.Local().Format(time.DateTime)
			}
		}
		if at, ok := used[k.Sum]; ok {
			last = "last used " + at.Local().Format(time.DateTime)
		}
		fmt.Fprintf(t, "%s\t%s\tsince %s\t%s\t%s\n", k.Name, what, k.Created.Local().Format(time.DateOnly), until, last)
	}
	return t.Flush()
}

// usePause is how exactly it is known when a token was used: each use in a file of its
// own would wear disks out for nothing.
const usePause = time.Minute

// tokenUse keeps when tokens were used last, apart from the tokens, which the command
// writes.
type tokenUse struct {
	home home.Home
	log  *slog.Logger

	mu   sync.Mutex
	last map[string]time.Time // by the sum; nil: not read yet
}

// note notes a use.
func (u *tokenUse) note(t api.Token) {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now().UTC().Truncate(time.Second)
	if u.last == nil {
		u.last = readUse(u.home)
	}
	if now.Sub(u.last[t.Sum]) < usePause {
		return
	}
	u.last[t.Sum] = now
	text, err := json.Marshal(u.last)
	if err == nil {
		err = home.WriteFile(u.home.TokensUsedFile(), append(text, '\n'))
	}
	if err != nil {
		u.log.Warn("it cannot be kept when a token was used", "err", err)
	}
}

// readUse gives when tokens were used; what is not known is left out.
func readUse(h home.Home) map[string]time.Time {
	last := map[string]time.Time{}
	if text, err := os.ReadFile(h.TokensUsedFile()); err == nil {
		_ = json.Unmarshal(text, &last) // a file that makes no sense tells nothing
	}
	return last
}
