package crash

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tunesafe/tunesafe/tests/drive"
	"github.com/tunesafe/tunesafe/tests/tools"
)

// points lists the crash points of the source, sorted, and fails the test if a
// name stands at two places or is no literal.
func points(t testing.TB) (names []string) {
	t.Helper()
	const root = "../.."
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "tests" || strings.HasPrefix(d.Name(), ".") && p != root):
			return filepath.SkipDir
		case !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if name, ok := pointOf(n); ok {
				if name == "" || slices.Contains(names, name) {
					t.Errorf("%s: crash point %q is not a literal that stands at one place only", p, name)
				}
				names = append(names, name)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

// pointOf gives the name if n is a call of crashpoint.At.
func pointOf(n ast.Node) (name string, ok bool) {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return "", false
	}
	at, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || at.Sel.Name != "At" {
		return "", false
	}
	if pkg, ok := at.X.(*ast.Ident); !ok || pkg.Name != "crashpoint" {
		return "", false
	}
	if lit, ok := call.Args[0].(*ast.BasicLit); ok {
		name, _ = strconv.Unquote(lit.Value)
	}
	return name, true
}

// TestNoPointsInTheProgram looks that nothing of the points is in a program as
// it is given out.
func TestNoPointsInTheProgram(t *testing.T) {
	program, err := os.ReadFile(drive.Program(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(points(t), "TUNESAFE_CRASH") {
		if bytes.Contains(program, []byte(name)) {
			t.Errorf("the program has %q in it", name)
		}
	}
}

// scenes are the ways to a point, by the first word of its name: those that a
// drive under load does not pass. A scene kills the program at the nth passing.
var scenes = map[string]func(t *testing.T, point string, n int){
	"init":    dieInInit,
	"pull":    dieInPull,
	"restore": dieInRestore,
	"copy":    dieInCopy,
	"prune":   dieInPrune,
	"putback": dieInUndo,
}

// often says how many times at most a point is passed before the program dies at
// it, where that is many times a second; it is 1 or 2 elsewhere.
var often = map[string]int{
	"journal.appended": 300, "open.marked": 40, "release.begun": 60, "create.content": 30, "truncate.content": 10,
	"rename.applied": 20, "unlink.applied": 15, "purge.rows": 20, "purge.unlinked": 20, "fsync.content": 10,
	"cut.accepted": 30, "object.put": 15, "object.acked": 15, "pack.kept": 8, "sound.paid": 5, "evict.row": 8,
	"evict.unlinked": 8, "fill.landed": 8, "write.landed": 4, "attr.content": 4, "start.restat": 1, "replay.merged": 1,
	"replay.journal": 1, "close.journal": 1,
}

// TestKillAtEveryPoint kills the program at every point that the source names.
// A point that is never passed fails the test.
func TestKillAtEveryPoint(t *testing.T) {
	seed := uint64(tools.Seed(t))
	rounds := tools.Count(t, 1, 2, 8)
	rng := rand.New(rand.NewPCG(seed, 10))
	var load []string
	for _, p := range points(t) {
		scene, ok := scenes[strings.SplitN(p, ".", 2)[0]]
		if !ok {
			load = append(load, p)
			continue
		}
		for range rounds {
			n := 1 + rng.IntN(2)
			t.Run(p, func(t *testing.T) { scene(t, p, n) })
		}
	}
	for range rounds {
		rng.Shuffle(len(load), func(i, j int) { load[i], load[j] = load[j], load[i] })
		half := len(load) / 2
		t.Run("load", func(t *testing.T) {
			for i, part := range [][]string{load[:half], load[half:]} {
				t.Run(strconv.Itoa(i), func(t *testing.T) {
					t.Parallel()
					seed := seed + uint64(i)
					w := newWorld(t, seed)
					for _, p := range part {
						w.dieAt(p)
						if t.Failed() {
							t.Logf("seed of this part: %d", seed)
							return
						}
					}
					w.finish()
				})
			}
		})
		seed += 2
	}
}
