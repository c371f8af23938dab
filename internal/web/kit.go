package web

import (
	"context"
	"net/http"

	"github.com/tunesafe/tunesafe/internal/recoverykit"
)

// Drawer is the recovery kit of a home, for who wants to print it again.
type Drawer interface {
	// Sheet is what the page for the drawer says. It is secret.
	Sheet(ctx context.Context) (recoverykit.Sheet, error)
	// Saved notes that a copy of the key is kept elsewhere.
	Saved(ctx context.Context) error
}

// kitView is the way to the kit, and the kit.
type kitView struct {
	Unsaved bool // nobody said yet that a copy is kept elsewhere
	*recoverykit.Sheet
	Path  string // of the QR code, as SVG
	Width int    // of it, in modules
}

// askKit says what the kit is, and shows none of it.
func (s *Server) askKit(w http.ResponseWriter, r *http.Request) error {
	if s.Drawer == nil {
		return s.notFound(w, r)
	}
	st, err := s.Owner.Status(r.Context())
	if err != nil {
		return err
	}
	return s.page(w, r, "kit", "Recovery kit", kitView{Unsaved: st.Unsaved})
}

// kit shows it, to be printed: by POST alone, so that no link, no reload and no history
// of a browser brings the key to the screen.
func (s *Server) kit(w http.ResponseWriter, r *http.Request) error {
	if s.Drawer == nil {
		return s.notFound(w, r)
	}
	sheet, err := s.Drawer.Sheet(r.Context())
	if err != nil {
		return err
	}
	v := kitView{Sheet: &sheet}
	if v.Path, v.Width, err = sheet.Drawing(); err != nil {
		return err
	}
	s.Log.Info("the recovery kit was shown in the page")
	return s.page(w, r, "kit", "Recovery kit", v)
}

// keptKit notes that it is kept.
func (s *Server) keptKit(w http.ResponseWriter, r *http.Request) error {
	if s.Drawer == nil {
		return s.notFound(w, r)
	}
	if err := s.Drawer.Saved(r.Context()); err != nil {
		return err
	}
	http.Redirect(w, r, "/kit", http.StatusSeeOther)
	return nil
}
