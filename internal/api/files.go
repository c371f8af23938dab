package api

import (
	"context"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// fileInput names a file; the body of an upload is read as it comes.
type fileInput struct {
	Path string `path:"path" doc:"from the top of the drive, slashes and all"`
	body io.Reader
}

// Resolve implements [huma.Resolver].
func (in *fileInput) Resolve(ctx huma.Context) []error {
	in.body = ctx.BodyReader()
	return nil
}

var _ huma.Resolver = (*fileInput)(nil)

// uploaded is what came of an upload.
type uploaded struct {
	Path string `json:"path"`
	Size int64  `json:"size"`
}

// registerFiles is what lies in files.
func (s *server) registerFiles() {
	bytes := map[string]*huma.MediaType{"application/octet-stream": {Schema: &huma.Schema{Type: "string", Format: "binary"}}}
	huma.Register(s.api, huma.Operation{
		OperationID: "download", Method: http.MethodGet, Path: Prefix + "/files/{path...}", Summary: "What lies in a file, now or at a time; ranges, too",
		Responses: map[string]*huma.Response{"200": {Description: "all of it", Content: bytes}, "206": {Description: "the range asked for", Content: bytes}},
	}, func(ctx context.Context, in *struct {
		Path string `path:"path" doc:"from the top of the drive, slashes and all"`
		At   string `query:"at" doc:"as it was at this time; empty is as it is"`
	}) (*huma.StreamResponse, error) {
		then, err := s.then(in.At)
		if err != nil {
			return nil, s.fail(err)
		}
		f, err := s.Files.Open(ctx, "/"+in.Path, then)
		if err != nil {
			return nil, s.fail(err)
		}
		return &huma.StreamResponse{Body: func(ctx huma.Context) {
			defer f.Close()
			r, w := humago.Unwrap(ctx)
			ServeFile(w, r, f)
		}}, nil
	})
	put := huma.Operation{
		OperationID: "upload", Method: http.MethodPut, Path: Prefix + "/files/{path...}", Summary: "Put a file on the drive, whole or not at all; it is uploaded to the store by itself",
		RequestBody: &huma.RequestBody{Required: true, Content: bytes}, MaxBodyBytes: -1, BodyReadTimeout: -1, DefaultStatus: http.StatusCreated,
	}
	huma.Register(s.api, put, func(ctx context.Context, in *fileInput) (*out[uploaded], error) {
		n, err := s.Files.Put(ctx, "/"+in.Path, in.body)
		if err != nil {
			return nil, s.fail(err)
		}
		return &out[uploaded]{uploaded{Path: in.Path, Size: n}}, nil
	})
}

// ServeFile answers with a file, or the ranges of it that were asked for, always as
// something to be kept: what a browser would run has no place here.
func ServeFile(w http.ResponseWriter, r *http.Request, f *File) {
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Disposition", Attachment(f.Name))
	http.ServeContent(w, r, "", f.Modified.Truncate(time.Second), f)
}

// Attachment is the Content-Disposition by which a browser saves what it gets under a
// name; one that no header can hold is left out.
func Attachment(name string) string {
	name = strings.ToValidUTF8(name, "_") // which every file system takes
	if d := mime.FormatMediaType("attachment", map[string]string{"filename": name}); d != "" {
		return d
	}
	return "attachment"
}
