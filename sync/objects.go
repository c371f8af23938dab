package sync

import (
	"slices"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/repo"
)

// ObjectsOf lists the objects that hold the parts of a file, as its recipe and the
// index tell, sorted. whole is false if the bucket has not all of it.
func ObjectsOf(c *cache.Cache, x *repo.Index, ino cache.Ino) (names []string, whole bool, err error) {
	recipe, whole, err := c.RecipeOf(ino)
	if err != nil {
		return nil, false, err
	}
	ids := map[repo.ID]bool{}
	for _, p := range recipe.Parts {
		whole = whole && (p.Size == 0 || len(p.Blobs) > 0)
		for _, b := range p.Blobs {
			if !b.IsZeros() {
				ids[repo.ID(b.ID)] = true
			}
		}
	}
	if recipe.More != nil {
		ids[repo.ID(recipe.More.ID)] = true
	}
	for id := range ids {
		place, ok, err := x.Lookup(id)
		if err != nil {
			return nil, false, err
		}
		if whole = whole && ok; ok {
			names = append(names, place.Object)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), whole, nil
}
