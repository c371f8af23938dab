// Package budget keeps what the program may cost, where that does not depend on the
// machine's mood: requests, bytes on the line, allocations. All figures are in
// budget.json. A test fails when one of them has doubled; a change that is worth it
// writes them anew, and shows so in its diff:
//
//	make budget
package budget

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// allowed is how many times its budget a figure may be. Below that is chance: what
// compresses better, which of two requests came first.
const allowed = 2

// Check compares a figure with its budget. With TUNESAFE_BUDGET=write it becomes the
// budget.
func Check(t testing.TB, name string, figure float64) {
	t.Helper()
	if os.Getenv("TUNESAFE_BUDGET") == "write" {
		if err := write(file(), name, figure); err != nil {
			t.Fatal(err)
		}
		return
	}
	budgets, err := read(file())
	if err != nil {
		t.Fatal(err)
	}
	if err := compare(budgets, name, figure); err != nil {
		t.Error(err)
	}
}

func compare(budgets map[string]float64, name string, figure float64) error {
	b, ok := budgets[name]
	switch {
	case !ok:
		return fmt.Errorf("%s: %.6g, and no budget: make budget", name, figure)
	case figure > allowed*b:
		return fmt.Errorf("%s: %.6g, more than twice its budget of %.6g; if it is worth it: make budget", name, figure, b)
	}
	return nil
}

// file is budget.json beside this source.
func file() string {
	_, source, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(source), "budget.json")
}

func read(path string) (budgets map[string]float64, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return budgets, json.Unmarshal(text, &budgets)
}

// write changes one budget. Tests of several packages may do so at once.
func write(path, name string, figure float64) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return err
	}
	budgets := map[string]float64{}
	if err := json.NewDecoder(f).Decode(&budgets); err != nil {
		if st, e := f.Stat(); e != nil || st.Size() > 0 {
			return err
		}
	}
	budgets[name] = figure
	text, err := json.MarshalIndent(budgets, "", "\t")
	if err != nil {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt(append(text, '\n'), 0)
	return err
}
