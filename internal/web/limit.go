package web

import (
	"net"
	"net/http"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// Attempts to get in: each address has attemptBurst at once, and then one in
// attemptPause; all addresses together a little more, as a password is costly to
// compare.
const (
	attemptBurst = 5
	attemptPause = 10 * time.Second
	allBurst     = 20
	allPause     = time.Second
	addresses    = 1000 // that are remembered
)

// limiter counts attempts.
type limiter struct {
	mu   sync.Mutex
	each *lru.Cache[string, *rate.Limiter]
	all  *rate.Limiter
}

func newLimiter() *limiter {
	each, _ := lru.New[string, *rate.Limiter](addresses) // an error is a size below 1
	return &limiter{each: each, all: rate.NewLimiter(rate.Every(allPause), allBurst)}
}

// allow tells whether one more may be made from an address, and if not, when.
func (l *limiter) allow(r *http.Request, now time.Time) (wait time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := source(r)
	own, found := l.each.Get(key)
	if !found {
		own = rate.NewLimiter(rate.Every(attemptPause), attemptBurst)
		l.each.Add(key, own)
	}
	for _, one := range []*rate.Limiter{own, l.all} {
		take := one.ReserveN(now, 1)
		if wait = take.DelayFrom(now); wait > 0 {
			take.CancelAt(now)
			return wait, false
		}
	}
	return 0, true
}

// source is the address a request comes from; of IPv6 the network, as a machine
// has as many addresses as it likes.
func source(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	ip := net.ParseIP(host)
	if ip == nil || ip.To4() != nil {
		return host
	}
	return ip.Mask(net.CIDRMask(64, 128)).String()
}
