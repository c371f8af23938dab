package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// none is an input of nothing.
type none struct{}

// out is an answer with a body.
type out[T any] struct{ Body T }

// ask is a request with a body.
type ask[T any] struct{ Body T }

// maxBody is of a request in JSON: the paths of a restore.
const maxBody = 8 << 20

// operation is one that answers in JSON.
func operation(method, path, id, tag, summary string) huma.Operation {
	return huma.Operation{
		OperationID: id, Method: method, Path: Prefix + path, Summary: summary, Tags: []string{tag},
		MaxBodyBytes: maxBody, BodyReadTimeout: -1, // or it would end what takes longer
		Errors: []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusConflict},
	}
}

// add registers what a function does.
func add[In, Out any](s *server, op huma.Operation, f func(context.Context, *In) (Out, error)) {
	huma.Register(s.api, op, func(ctx context.Context, in *In) (*out[Out], error) {
		body, err := f(ctx, in)
		if err != nil {
			return nil, s.fail(err)
		}
		return &out[Out]{body}, nil
	})
}

// Paged asks for a page of a list.
type Paged struct {
	From  int `query:"from" minimum:"0" maximum:"1000000000" doc:"how many to leave out at the beginning"`
	Limit int `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"how many to give"`
}

// Page is one of a list.
type Page[T any] struct {
	Items []T `json:"items" nullable:"false"`
	All   int `json:"all" doc:"how many there are"`
	Next  int `json:"next,omitempty" doc:"the from of the next page; none: this is the last"`
}

// cut gives a page of a list.
func cut[T any](all []T, q Paged) Page[T] {
	from := min(q.From, len(all))
	return pageOf(all[from:min(len(all), from+q.Limit)], len(all), q)
}

// pageOf is a page that was cut already.
func pageOf[T any](items []T, all int, q Paged) Page[T] {
	p := Page[T]{Items: append([]T{}, items...), All: all}
	if next := q.From + len(items); len(items) > 0 && next < all {
		p.Next = next
	}
	return p
}
