package api

import (
	"context"
	"net/http"

	"github.com/tunesafe/tunesafe/internal/control"
)

// pin is something that stays on the machine that has the drive. Sizes are bytes.
type pin struct {
	control.Pin
	Path string `json:"path"`
	Odd  []byte `json:"path_bytes,omitempty" doc:"where the path is not UTF-8"`
}

// pinReport is what is pinned.
type pinReport struct {
	Pins   []pin `json:"pins" nullable:"false"`
	Room   int64 `json:"room" doc:"bytes on that disk for more"`
	Serves bool  `json:"serves" doc:"a process runs that fetches what is missing"`
}

// pinOrder names what stays, or no longer.
type pinOrder struct {
	Paths []string `json:"paths" minItems:"1" maxItems:"10000" nullable:"false" doc:"folders, files and playlists, from the top of the drive"`
}

// registerPins is what stays on the machine, to be played without the store.
func (s *server) registerPins() {
	do := func(ctx context.Context, r control.PinRequest) (pinReport, error) {
		got, err := s.Owner.Pin(ctx, r)
		report := pinReport{Pins: []pin{}, Room: got.Room, Serves: got.Serves}
		for _, p := range got.Pins {
			report.Pins = append(report.Pins, pin{p, text(p.Path), odd(p.Path)})
		}
		return report, err
	}
	add(s, operation(http.MethodGet, "/pins", "pins", "drive", "What stays on the machine that has the drive, and how much of it is there"), func(ctx context.Context, _ *none) (pinReport, error) {
		return do(ctx, control.PinRequest{Do: control.DoList})
	})
	add(s, operation(http.MethodPost, "/pins", "pin", "drive", "Have folders, files and what playlists name stay there: all of them, or none"), func(ctx context.Context, in *ask[pinOrder]) (pinReport, error) {
		return do(ctx, control.PinRequest{Do: control.DoPin, Paths: raw(in.Body.Paths)})
	})
	add(s, operation(http.MethodPost, "/pins/remove", "unpin", "drive", "End that, and tell what is pinned still"), func(ctx context.Context, in *ask[pinOrder]) (pinReport, error) {
		return do(ctx, control.PinRequest{Do: control.DoUnpin, Paths: raw(in.Body.Paths)})
	})
}
