package api

import (
	"context"
	"net/http"

	"github.com/tunesafe/tunesafe/internal/control"
)

// registerKeys is who may write to the repository, and who can open it.
func (s *server) registerKeys() {
	k := s.Keeping
	add(s, operation(http.MethodGet, "/devices", "devices", "keys", "The machines of the repository"), func(ctx context.Context, _ *none) (control.DevicesReport, error) {
		return k.Devices(ctx)
	})
	retire := operation(http.MethodPost, "/devices/{device}/retire", "retire", "keys", "Say of a machine that it belongs to the repository no longer, and begin a new key epoch")
	add(s, retire, func(ctx context.Context, in *struct {
		Device string `path:"device" maxLength:"200" doc:"its id, or its name if only one has it"`
		Body   control.Unlock
	}) (control.RetireReport, error) {
		return k.Retire(ctx, control.RetireRequest{Device: in.Device, Unlock: in.Body})
	})
	epoch := operation(http.MethodPost, "/epochs", "new-epoch", "keys", "Begin a new key epoch, as is due after a key was removed")
	add(s, epoch, func(ctx context.Context, in *ask[control.Unlock]) (control.EpochReport, error) {
		return k.NewEpoch(ctx, in.Body)
	})
	add(s, operation(http.MethodGet, "/keys", "keys", "keys", "What opens the repository; no secret of it"), func(ctx context.Context, _ *none) (control.KeysReport, error) {
		return k.Keys(ctx)
	})
	grant := operation(http.MethodPost, "/keys", "add-key", "keys", "Let another key in: a passphrase, or a recipient of age")
	add(s, grant, func(ctx context.Context, in *ask[control.AddKeyRequest]) (control.KeysReport, error) {
		if err := k.AddKey(ctx, in.Body); err != nil {
			return control.KeysReport{}, err
		}
		return k.Keys(ctx)
	})
	remove := operation(http.MethodPost, "/keys/{name}/remove", "remove-key", "keys", "Take a key away; what it could read before it may still read, and a new epoch closes to it what comes")
	add(s, remove, func(ctx context.Context, in *struct {
		Name string `path:"name" maxLength:"40"`
		Body control.Unlock
	}) (control.KeysReport, error) {
		if err := k.RemoveKey(ctx, control.RemoveKeyRequest{Name: in.Name, Unlock: in.Body}); err != nil {
			return control.KeysReport{}, err
		}
		return k.Keys(ctx)
	})
}
