package s3proxy

import (
	"encoding/json"
	"flag"
	"io"
	"net/http"
)

// control answers the requests that are for the proxy itself.
func (p *Proxy) control(w http.ResponseWriter, r *http.Request) {
	var answer any
	switch r.URL.Path {
	case "/__stats":
		answer = p.Stats()
	case "/__reset":
		answer = p.Reset()
	case "/__log":
		answer = p.Log()
	case "/__config":
		f := p.Faults()
		fs := flag.NewFlagSet("", flag.ContinueOnError)
		fs.SetOutput(io.Discard)
		f.Flags(fs)
		query := r.URL.Query()
		for name := range query {
			if err := fs.Set(name, query.Get(name)); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
		}
		if len(query) > 0 {
			p.Set(f)
		}
		values := map[string]string{}
		fs.VisitAll(func(f *flag.Flag) { values[f.Name] = f.Value.String() })
		answer = values
	default:
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetIndent("", " ")
	_ = enc.Encode(answer) // who asked is gone if it fails
}
