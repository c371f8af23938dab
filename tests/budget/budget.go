// Package budget keeps what the program may cost, where that does not depend on the
// machine's mood: requests, bytes on the line, allocations, memory, instructions. All
// figures are in budget.json. A test fails when one of them has doubled; a change that is
// worth it writes them anew, and shows so in its diff:
//
//	make budget
//
// Memory is what a process has of its own at its most, without files. Instructions are
// counted by the processor where it lets itself be asked ([Start]), as few virtual machines
// do, and by an emulator elsewhere ([Emulate]): the same work differs by some hundredths.
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
// compresses better, which of two requests came first. What chance made a little less
// fails, too, when it doubles.
const allowed = 1.8

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
		return fmt.Errorf("%s: %.6g, its budget is %.6g; if it is worth it: make budget", name, figure, b)
	}
	return nil
}

func file() string { return filepath.Join(here(), "budget.json") }

// here is the folder of this source.
func here() string {
	_, source, _, _ := runtime.Caller(0)
	return filepath.Dir(source)
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
