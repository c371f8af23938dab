package api

import (
	"context"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// fileInput names a file; the body of an upload is read as it comes.
type fileInput struct {
	Path   string `path:"path" doc:"from the top of the drive, slashes and all"`
	Match  string `header:"If-Match" maxLength:"4096" doc:"only over a file of one of these tags; * is any"`
	Absent string `header:"If-None-Match" maxLength:"4096" doc:"*: only if there is no such file"`
	body   io.Reader
}

// Resolve implements [huma.Resolver].
func (in *fileInput) Resolve(ctx huma.Context) []error {
	in.body = ctx.BodyReader()
	return nil
}

var _ huma.Resolver = (*fileInput)(nil)

// condition reads the headers of RFC 9110, 13.1.
func (in *fileInput) condition() (c Condition, err error) {
	switch in.Absent {
	case "":
	case "*":
		c.Absent = true
	default:
		return c, newProblem(http.StatusBadRequest, Invalid, "If-None-Match is understood as * alone", "")
	}
	for tag := range strings.SplitSeq(in.Match, ",") {
		if tag = strings.Trim(strings.TrimSpace(tag), `"`); tag != "" {
			c.Match = append(c.Match, tag)
		}
	}
	return c, nil
}

// uploaded is what came of an upload.
type uploaded struct {
	Status int    `json:"-"`
	Tag    string `header:"ETag"`
	Body   struct {
		Path string `json:"path"`
		Size int64  `json:"size"`
		New  bool   `json:"new" doc:"there was no such file"`
	}
}

// registerFiles is what lies in files.
func (s *server) registerFiles() {
	bytes := map[string]*huma.MediaType{"application/octet-stream": {Schema: &huma.Schema{Type: "string", Format: "binary"}}}
	get := streamed(http.MethodGet, "/files/{path...}", "download", "drive", "What lies in a file, now or at a time; ranges, too", "application/octet-stream")
	get.Responses["206"] = &huma.Response{Description: "the range asked for", Content: bytes}
	streamOf(s, get, func(w http.ResponseWriter, r *http.Request, in *struct {
		Path string `path:"path" doc:"from the top of the drive, slashes and all"`
		At   string `query:"at" doc:"as it was at this time; empty is as it is"`
	}) error {
		then, err := s.then(in.At)
		if err != nil {
			return err
		}
		f, err := s.Files.Open(r.Context(), "/"+in.Path, then)
		if err != nil {
			return err
		}
		defer f.Close()
		ServeFile(w, r, f)
		return nil
	})
	put := operation(http.MethodPut, "/files/{path...}", "upload", "drive", "Put a file on the drive, whole or not at all; it is uploaded to the store by itself")
	put.RequestBody = &huma.RequestBody{Required: true, Content: bytes}
	put.Responses = map[string]*huma.Response{"200": {Description: "it is in the place of the file that was there"}}
	put.MaxBodyBytes, put.DefaultStatus = -1, http.StatusCreated
	put.Errors = append(put.Errors, http.StatusPreconditionFailed, http.StatusInsufficientStorage)
	huma.Register(s.api, put, func(ctx context.Context, in *fileInput) (*uploaded, error) {
		cond, err := in.condition()
		if err != nil {
			return nil, err
		}
		p, err := s.Files.Put(ctx, "/"+in.Path, in.body, cond)
		if err != nil {
			return nil, s.fail(err)
		}
		done := &uploaded{Status: http.StatusOK, Tag: `"` + p.Tag + `"`}
		if p.New {
			done.Status = http.StatusCreated
		}
		done.Body.Path, done.Body.Size, done.Body.New = in.Path, p.Size, p.New
		return done, nil
	})
	streamOf(s, streamed(http.MethodGet, "/zip", "zip", "drive", "Folders and files as a ZIP archive, now or at a time; ranges, too", "application/zip"), func(w http.ResponseWriter, r *http.Request, in *struct {
		Path []string `query:"path,explode" maxItems:"1000" doc:"from the top of the drive; none is all of it"`
		At   string   `query:"at" doc:"as it was at this time; empty is as it is"`
	}) error {
		then, err := s.then(in.At)
		if err != nil {
			return err
		}
		return s.Contents.Zip(w, r, then, in.Path)
	})
	streamOf(s, streamed(http.MethodGet, "/art", "past-art", "past", "The picture that a file had in it", "image/*"), func(w http.ResponseWriter, r *http.Request, in *struct {
		Path string `query:"path" required:"true" doc:"of a track, from the top of the drive"`
		At   string `query:"at" required:"true" doc:"the time"`
	}) error {
		then, err := s.then(in.At)
		if err != nil {
			return err
		}
		if then == nil {
			return newProblem(http.StatusBadRequest, Invalid, "at is empty", "")
		}
		return s.Contents.PastArt(w, r, *then, in.Path)
	})
}

// ServeFile answers with a file, or the ranges of it that were asked for, always as
// something to be kept: what a browser would run has no place here.
func ServeFile(w http.ResponseWriter, r *http.Request, f *File) {
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("X-Content-Type-Options", "nosniff")
	if f.Tag != "" {
		h.Set("Etag", `"`+f.Tag+`"`)
	}
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
