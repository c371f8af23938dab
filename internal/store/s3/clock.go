package s3

import (
	"net/http"
	"sync/atomic"
	"time"
)

// clock compares the store's clock with this machine's.
type clock struct{ nanos atomic.Int64 }

// observe takes in the Date header of an answer to a request begun and
// answered at these local times. The header is cut to whole seconds, so half a
// second is added; the server wrote it somewhere between the two times.
func (c *clock) observe(date string, begun, answered time.Time) {
	server, err := http.ParseTime(date)
	if err != nil {
		return
	}
	local := begun.Add(answered.Sub(begun) / 2)
	c.nanos.Store(int64(server.Add(500 * time.Millisecond).Sub(local)))
}

func (c *clock) offset() time.Duration { return time.Duration(c.nanos.Load()) }
