package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/tunesafe/tunesafe/internal/api"
	"github.com/tunesafe/tunesafe/internal/home"
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
func tokens(e *env, args []string, readOnly bool) error {
	if err := want(args, 1, 2, "list, add or remove"); err != nil {
		return err
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
		text := rand.Text()
		t := api.Token{Name: args[1], Sum: api.Sum(text), Created: time.Now().UTC().Truncate(time.Second), ReadOnly: readOnly}
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
	t := tabwriter.NewWriter(e.stdout, 0, 0, 3, ' ', 0)
	for _, k := range list {
		what := "everything"
		if k.ReadOnly {
			what = "reading"
		}
		fmt.Fprintf(t, "%s\t%s\tsince %s\n", k.Name, what, k.Created.Local().Format(time.DateOnly))
	}
	return t.Flush()
}
