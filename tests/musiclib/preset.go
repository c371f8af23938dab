package musiclib

import (
	"fmt"
	"maps"
	"slices"
)

var presets = map[string]Options{
	// Every kind once, small enough for every run.
	"ci": {Albums: 4, TracksPerAlbum: 6, TotalBytes: 24e6, ArtBytes: [2]int{20e3, 60e3}},
	// A library to show: what "make run" mounts.
	"sample": {Albums: 3, TracksPerAlbum: 4, TotalBytes: 20e6, ArtBytes: [2]int{60e3, 150e3}},
	// The library of the measurements.
	"e2e1g": {Albums: 20, TracksPerAlbum: 10, TotalBytes: 1060e6, ArtBytes: [2]int{100e3, 300e3}},
	// Many files rather than many bytes.
	"tiny20k": {Albums: 2000, TracksPerAlbum: 10, TotalBytes: 500e6, ArtBytes: [2]int{2e3, 4e3}, Plain: true},
}

// Presets lists the names that [Preset] knows.
func Presets() []string { return slices.Sorted(maps.Keys(presets)) }

// Preset returns the options called name, with seed 1.
func Preset(name string) (Options, error) {
	o, ok := presets[name]
	if !ok {
		return Options{}, fmt.Errorf("musiclib: no preset %q; there are %v", name, Presets())
	}
	o.Seed = 1
	return o, nil
}
