package web

import (
	"net/http"
	"strings"

	"github.com/tunesafe/tunesafe/internal/control"
)

// devices lists the machines of the repository.
func (s *Server) devices(w http.ResponseWriter, r *http.Request) error {
	if s.Keeping == nil {
		return s.notFound(w, r)
	}
	report, err := s.Keeping.Devices(r.Context())
	if err != nil {
		return err
	}
	return s.page(w, r, "devices", "Devices", report)
}

// retireView asks whether a machine is to be retired, or tells that it is.
type retireView struct {
	control.Device
	Unlocked bool // nobody has to type a key
	Problem  *control.Fault
	Done     *control.RetireReport
}

// deviceOf finds the machine that a request names.
func (s *Server) deviceOf(r *http.Request) (v retireView, ok bool, err error) {
	if s.Keeping == nil {
		return v, false, nil
	}
	report, err := s.Keeping.Devices(r.Context())
	for _, d := range report.Devices {
		if d.ID == r.PathValue("id") && !d.This && d.Retired == nil {
			return retireView{Device: d, Unlocked: report.Unlocked}, true, err
		}
	}
	return v, false, err
}

// askRetire says what it means to retire a machine, and asks whether it is to be.
func (s *Server) askRetire(w http.ResponseWriter, r *http.Request) error {
	v, ok, err := s.deviceOf(r)
	if err != nil {
		return err
	}
	if !ok {
		return s.notFound(w, r)
	}
	return s.page(w, r, "retire", "Retire a device", v)
}

// retire does it, for who ticked that it is meant.
func (s *Server) retire(w http.ResponseWriter, r *http.Request) error {
	v, ok, err := s.deviceOf(r)
	if err != nil {
		return err
	}
	if !ok {
		return s.notFound(w, r)
	}
	if r.PostFormValue("sure") == "" {
		v.Problem = &control.Fault{Text: "tick that it is meant: this cannot be taken back"}
		s.write(w, r, http.StatusUnprocessableEntity, "retire", "Retire a device", v)
		return nil
	}
	done, err := s.Keeping.Retire(r.Context(), control.RetireRequest{Device: v.ID, Unlock: unlockOf(r)})
	if err != nil {
		v.Problem = s.explain(err)
		s.write(w, r, http.StatusUnprocessableEntity, "retire", "Retire a device", v)
		return nil
	}
	s.Log.Info("a device was retired, from the page", "device", v.ID, "name", v.Name)
	v.Done = &done
	return s.page(w, r, "retire", "Device retired", v)
}

// unlockOf is what somebody typed to open all of the repository with.
func unlockOf(r *http.Request) (u control.Unlock) {
	text := strings.TrimSpace(r.PostFormValue("secret"))
	if strings.HasPrefix(strings.ToUpper(text), "AGE-SECRET-KEY-") {
		u.RecoveryKey = text
	} else {
		u.Passphrase = text
	}
	return u
}

// openersView lists the keys, with the form for another.
type openersView struct {
	control.KeysReport
	Form    control.AddKeyRequest // without secrets
	Problem *control.Fault
	Epoch   *control.EpochReport // it has just begun
}

// keys lists what opens the repository.
func (s *Server) keys(w http.ResponseWriter, r *http.Request) error {
	if s.Keeping == nil {
		return s.notFound(w, r)
	}
	v, err := s.openersOf(r)
	if err != nil {
		return err
	}
	return s.page(w, r, "keys", "Keys", v)
}

func (s *Server) openersOf(r *http.Request) (v openersView, err error) {
	v.KeysReport, err = s.Keeping.Keys(r.Context())
	return v, err
}

// addKey lets another in.
func (s *Server) addKey(w http.ResponseWriter, r *http.Request) error {
	if s.Keeping == nil {
		return s.notFound(w, r)
	}
	q := control.AddKeyRequest{Name: strings.TrimSpace(r.PostFormValue("name")), Recipient: strings.TrimSpace(r.PostFormValue("recipient")),
		ReadOnly: r.PostFormValue("opens") == control.OpensData, Unlock: unlockOf(r)}
	q.Passphrase = r.PostFormValue("passphrase")
	var err error
	if q.Passphrase != r.PostFormValue("again") {
		err = &control.Fault{Text: "the two passphrases are not the same"}
	} else {
		err = s.Keeping.AddKey(r.Context(), q)
	}
	if err == nil {
		s.Log.Info("a key was added, from the page", "name", q.Name)
		http.Redirect(w, r, "/keys", http.StatusSeeOther)
		return nil
	}
	v, listed := s.openersOf(r)
	if listed != nil {
		return listed
	}
	v.Problem, v.Form = s.explain(err), control.AddKeyRequest{Name: q.Name, Recipient: q.Recipient, ReadOnly: q.ReadOnly}
	s.write(w, r, http.StatusUnprocessableEntity, "keys", "Keys", v)
	return nil
}

// removeView asks whether a key is to be taken away.
type removeView struct {
	control.Key
	Unlocked bool
	Problem  *control.Fault
}

// keyOf finds the key that a request names.
func (s *Server) keyOf(r *http.Request) (v removeView, ok bool, err error) {
	if s.Keeping == nil {
		return v, false, nil
	}
	report, err := s.Keeping.Keys(r.Context())
	for _, k := range report.Keys {
		if k.Name == r.PathValue("name") {
			return removeView{Key: k, Unlocked: report.Unlocked}, true, err
		}
	}
	return v, false, err
}

// askRemoveKey warns of what it means.
func (s *Server) askRemoveKey(w http.ResponseWriter, r *http.Request) error {
	v, ok, err := s.keyOf(r)
	if err != nil {
		return err
	}
	if !ok {
		return s.notFound(w, r)
	}
	return s.page(w, r, "key", "Remove a key", v)
}

// removeKey takes a key away.
func (s *Server) removeKey(w http.ResponseWriter, r *http.Request) error {
	v, ok, err := s.keyOf(r)
	if err != nil {
		return err
	}
	if !ok {
		return s.notFound(w, r)
	}
	if r.PostFormValue("sure") == "" {
		v.Problem = &control.Fault{Text: "tick that it is meant"}
		s.write(w, r, http.StatusUnprocessableEntity, "key", "Remove a key", v)
		return nil
	}
	if err := s.Keeping.RemoveKey(r.Context(), control.RemoveKeyRequest{Name: v.Name, Unlock: unlockOf(r)}); err != nil {
		v.Problem = s.explain(err)
		s.write(w, r, http.StatusUnprocessableEntity, "key", "Remove a key", v)
		return nil
	}
	s.Log.Info("a key was removed, from the page", "name", v.Name)
	http.Redirect(w, r, "/keys", http.StatusSeeOther)
	return nil
}

// newEpoch closes what comes to who had a key that was removed.
func (s *Server) newEpoch(w http.ResponseWriter, r *http.Request) error {
	if s.Keeping == nil {
		return s.notFound(w, r)
	}
	report, err := s.Keeping.NewEpoch(r.Context(), unlockOf(r))
	v, listed := s.openersOf(r)
	if listed != nil {
		return listed
	}
	if err != nil {
		v.Problem = s.explain(err)
		s.write(w, r, http.StatusUnprocessableEntity, "keys", "Keys", v)
		return nil
	}
	v.Epoch = &report
	return s.page(w, r, "keys", "Keys", v)
}
