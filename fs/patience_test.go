package fs

import (
	"context"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		interrupt := make(chan struct{})
		p := newPatience(&fuse.Context{Cancel: interrupt}) // nobody's: never dying
		if p.Err() != nil {
			t.Error("over before it began")
		}
		ctx, cancel := context.WithTimeout(p, time.Hour)
		close(interrupt)
		time.Sleep(10 * patienceTick)
		if err := ctx.Err(); err != nil {
			t.Errorf("a signal ended it: %v", err)
		}
		cancel()
		p.end() // synctest fails the test if the watch goes on
	})
}

func TestDying(t *testing.T) {
	if self := uint32(os.Getpid()); dying(self) || dying(0) {
		t.Error("called dying while alive")
	}
	for status, want := range map[string]bool{
		"Name:\tmpd\nSigQ:\t0/1\nSigPnd:\t0000000000000000\nShdPnd:\t0000000000000100\n": false,
		"Name:\tmpd\nSigQ:\t1/1\nSigPnd:\t0000000000002000\nShdPnd:\t0000000000000000\n": false, // SIGALRM
		"Name:\tmpd\nSigQ:\t1/1\nSigPnd:\t0000000000000100\nShdPnd:\t0000000000000000\n": true,
		"Name:\tmpd\nSigPnd:\tnonsense\n":                                                false,
		"":                                                                               false,
	} {
		if got := killed([]byte(status)); got != want {
			t.Errorf("%q: %v", status, got)
		}
	}
}
