package main

import (
	"sync"
	"time"

	"github.com/tunesafe/tunesafe/internal/health"
)

// fetched are objects that were fetched whole for other reasons than to check them,
// and found to be as they were written. A check counts them as read.
type fetched struct {
	mu sync.Mutex
	at map[string]time.Time
}

// mostFetched bounds the memory they take; what is beyond is read again by a check.
const mostFetched = 20_000

// note must be quick: a reader waits for it.
func (f *fetched) note(object string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.at == nil {
		f.at = map[string]time.Time{}
	}
	if _, ok := f.at[object]; ok || len(f.at) < mostFetched {
		f.at[object] = time.Now()
	}
}

func (f *fetched) take() (list []health.Found) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for object, at := range f.at {
		list = append(list, health.Found{Object: object, Reading: health.Reading{Time: at, Result: health.Good}})
	}
	f.at = nil
	return list
}

// keepFetched records what was fetched since the last check, if anything was.
func (d *drive) keepFetched() error {
	list := d.fetched.take()
	if len(list) == 0 {
		return nil
	}
	db, err := d.healthDB()
	if err != nil {
		return err
	}
	return db.Add(list...)
}
