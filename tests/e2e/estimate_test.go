package e2e

import (
	"math"
	"testing"

	"github.com/tunesafe/tunesafe/internal/estimate"
	"github.com/tunesafe/tunesafe/tests/drive"
)

// TestEstimate compares what is said to be sent with what is.
func TestEstimate(t *testing.T) {
	p, proxy := counted(t)
	library := music(t, true)
	said, err := estimate.Folders(t.Context(), []string{library}, estimate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	quick, err := estimate.Folders(t.Context(), []string{library}, estimate.Options{Quick: true})
	if err != nil {
		t.Fatal(err)
	}
	h := drive.New(t, p.server)
	h.Run(append([]string{"init"}, p.flags...)...)
	proxy.Reset()
	h.Run("backup", library)
	s := proxy.Reset()
	puts := s.Ops["PutObject"].Requests
	off := func(said, was int64) float64 { return 100 * (float64(said)/float64(was) - 1) }
	bytes, requests := off(said.Send, s.Up), off(said.Puts, puts)
	figure(t, "estimate of %d files: %d bytes said, %d sent (%+.2f %%); %d PUTs said, %d made (%+.1f %%); quick: %+.1f %%, %+.1f %%", said.Files,
		said.Send, s.Up, bytes, said.Puts, puts, requests, off(quick.Send, s.Up), off(quick.Puts, puts))
	if math.Abs(bytes) > 2 {
		t.Errorf("%d bytes said, %d sent: %.2f %%", said.Send, s.Up, bytes)
	}
	if math.Abs(requests) > 10 && math.Abs(float64(said.Puts-puts)) > 3 {
		t.Errorf("%d PUTs said, %d made: %.1f %%", said.Puts, puts, requests)
	}
}
