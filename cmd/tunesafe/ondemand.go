package main

import (
	"io"
	"sync"
)

// onDemand is a database that is opened when it is asked for first, as most commands
// do not need it.
type onDemand[DB io.Closer] struct {
	mu   sync.Mutex
	is   bool // open
	open DB
}

// get gives the database of that file.
func (o *onDemand[DB]) get(open func(file string) (DB, error), file string) (DB, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.is {
		return o.open, nil
	}
	db, err := open(file)
	if err == nil {
		o.open, o.is = db, true
	}
	return db, err
}

// close ends its use, if there was one.
func (o *onDemand[DB]) close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.is {
		return nil
	}
	return o.open.Close()
}
