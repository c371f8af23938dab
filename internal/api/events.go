package api

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2/sse"

	"github.com/tunesafe/tunesafe/internal/task"
)

const (
	eventPause = 500 * time.Millisecond // between looks
	tokenPause = 5 * time.Second        // between looks whether the token is still there
)

// registerEvents streams what changes. The stream ends with its reader, its token and
// the process.
func (s *server) registerEvents() {
	op := operation(http.MethodGet, "/events", "events", "work", "The status and each task as they change, as server-sent events")
	sse.Register(s.api, op, map[string]any{"status": status{}, "task": taskBody{}}, func(ctx context.Context, _ *none, send sse.Sender) {
		shown, checked := map[string][]byte{}, time.Now()
		tell := func(key string, v any) error {
			now, err := json.Marshal(v)
			if err != nil || bytes.Equal(now, shown[key]) {
				return err
			}
			shown[key] = now
			return send.Data(v)
		}
		for {
			st, err := s.Owner.Status(ctx)
			if err == nil {
				err = tell("", statusOf(st))
			}
			for _, t := range s.newest() {
				if err == nil {
					err = tell(t.ID(), s.taskOf(t))
				}
			}
			if time.Since(checked) > tokenPause {
				checked = time.Now()
				if !s.lasts(ctx) {
					return
				}
			}
			if err != nil {
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(eventPause):
			}
		}
	})
}

// newest are the tasks that somebody may want to follow.
func (s *server) newest() []*task.Task {
	all := s.Tasks.All()
	const few = 16
	return all[max(0, len(all)-few):]
}

// lasts tells whether the token of a request is good still.
func (s *server) lasts(ctx context.Context) bool {
	name, _ := ctx.Value(tokenKey{}).(string)
	tokens, err := s.Tokens()
	return err == nil && slices.ContainsFunc(tokens, func(t Token) bool { return t.Name == name && t.Good(time.Now()) })
}
