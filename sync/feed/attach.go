package feed

import (
	"errors"
	"fmt"
	"path"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/folder"
)

// Settings are what is remembered of a place.
type Settings struct {
	Name        string    // "" is that of the folder
	Root        string    // absolute
	Exclude     *[]string // nil leaves it as it was
	CrossDevice *bool     // nil leaves it as it was
	TakeOver    bool      // feed a folder of the drive that is there already
}

// Attach makes the place of a folder, or finds it and changes its settings.
func Attach(c *cache.Cache, o Settings) (cache.Place, error) {
	p, err := find(c, o)
	if errors.Is(err, ErrNoPlace) {
		p, err = add(c, o)
	}
	if err != nil {
		return p, err
	}
	if o.Exclude != nil {
		p.Exclude = *o.Exclude
		if err := c.SetPlace(p); err != nil {
			return p, err
		}
	}
	if o.CrossDevice == nil {
		return p, nil
	}
	r, err := loadRecord(c, p.Dir)
	if err != nil {
		return p, err
	}
	r.CrossDevice = *o.CrossDevice
	return p, r.store(c, p.Dir)
}

// Plan is Attach without a change: a place that is not there yet has no folder.
func Plan(c *cache.Cache, o Settings) (cache.Place, error) {
	p, err := find(c, o)
	if errors.Is(err, ErrNoPlace) {
		p.Root = o.Root
		if p.Name, err = o.name(); err == nil {
			err = nameFree(c, o, p.Name)
		}
	}
	if o.Exclude != nil {
		p.Exclude = *o.Exclude
	}
	return p, err
}

func nameFree(c *cache.Cache, o Settings, name string) error {
	_, err := c.Lookup(cache.Root, name)
	switch {
	case errors.Is(err, cache.ErrNotExist):
		return nil
	case err == nil && !o.TakeOver:
		return fmt.Errorf("%s: %w", name, ErrNameTaken)
	}
	return err
}

// name is that of the place to be made.
func (o *Settings) name() (string, error) {
	name := o.Name
	if name == "" {
		name = path.Base(o.Root)
	}
	if name == "/" || name == "." {
		return "", fmt.Errorf("%s %w", o.Root, ErrNoName)
	}
	if name == cache.Reserved {
		return "", fmt.Errorf("%s: %w", name, ErrNameTaken)
	}
	return name, nil
}

// find looks for a place by its folder.
func find(c *cache.Cache, o Settings) (cache.Place, error) {
	all, err := c.Places()
	if err != nil {
		return cache.Place{}, err
	}
	for _, p := range all {
		switch {
		case p.Root != o.Root:
		case o.Name != "" && o.Name != p.Name:
			return p, fmt.Errorf("%s %w: %s", o.Root, ErrOtherName, p.Name)
		default:
			return p, nil
		}
	}
	return cache.Place{}, ErrNoPlace
}

func add(c *cache.Cache, o Settings) (cache.Place, error) {
	name, err := o.name()
	if err != nil {
		return cache.Place{}, err
	}
	root, err := folder.Open(o.Root, folder.Options{})
	if err != nil {
		return cache.Place{}, err
	}
	defer root.Close()
	d, err := root.Dir("", nil)
	if err != nil {
		return cache.Place{}, err
	}
	defer d.Close()
	top, err := topOutside(root.Stat(), d)
	if err != nil {
		return cache.Place{}, err
	}
	p, err := c.AddPlace(name, cache.Place{Root: o.Root, TakeOver: o.TakeOver}, top)
	if errors.Is(err, cache.ErrExist) {
		err = fmt.Errorf("%s: %w", name, ErrNameTaken)
	}
	return p, err
}
