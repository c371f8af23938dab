package api

import (
	"context"
	"net/http"
	"time"

	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/task"
)

// entry is a name on the drive.
type entry struct {
	Name   string    `json:"name"`
	Bytes  []byte    `json:"name_bytes,omitempty" doc:"where the name is not UTF-8"`
	Type   string    `json:"type" enum:"file,folder,link,other"`
	Mode   uint32    `json:"mode" doc:"as st_mode of inode(7)"`
	Size   int64     `json:"size"`
	Mtime  time.Time `json:"mtime"`
	State  string    `json:"state,omitempty" doc:"of a file: safe, or what it waits for"`
	Target string    `json:"target,omitempty" doc:"of a link"`
}

func typeOf(mode uint32) string {
	switch mode & 0o170000 { // S_IFMT of inode(7)
	case 0o100000:
		return "file"
	case 0o040000:
		return "folder"
	case 0o120000:
		return "link"
	}
	return "other"
}

// registerDrive is what lies on the drive, and what gets it back.
func (s *server) registerDrive() {
	o := s.Owner
	add(s, operation(http.MethodGet, "/list", "list", "drive", "What lies in a folder of the drive"), func(ctx context.Context, in *struct {
		PathQuery
		Paged
	}) (Page[entry], error) {
		var list []entry
		err := o.List(ctx, control.ListRequest{Path: []byte(in.Path)}, func(e control.Entry) {
			list = append(list, entry{Name: text(e.Name), Bytes: odd(e.Name), Type: typeOf(e.Mode), Mode: e.Mode, Size: e.Size, Mtime: e.Mtime, State: e.State, Target: text(e.Target)})
		})
		return cut(list, in.Paged), err
	})
	add(s, operation(http.MethodGet, "/picture", "picture", "drive", "What the library is made of: formats, bought and ripped, libraries of iTunes"), func(ctx context.Context, in *PathQuery) (control.Picture, error) {
		return o.Picture(ctx, control.PictureRequest{Path: []byte(in.Path)})
	})
	begin(s, "/restore", "restore", "drive", "Copy from the drive to a folder of the machine that has it, which is new or empty", func(ctx context.Context, in *restoreOrder, once task.Once) (*task.Task, error) {
		then, err := s.then(in.At)
		if err != nil {
			return nil, err
		}
		dest, err := s.Dest(ctx, in.Dest)
		if err != nil {
			return nil, newProblem(http.StatusConflict, Conflict, in.Dest+": "+err.Error(), "name a folder that is not there yet")
		}
		return s.deeds().Restore(control.RestoreRequest{Paths: raw(in.Paths), Dest: []byte(dest), At: then}, "", once)
	})
}

// restoreOrder says what to copy where.
type restoreOrder struct {
	Paths []string `json:"paths" minItems:"1" maxItems:"10000" nullable:"false" doc:"from the top of the drive"`
	Dest  string   `json:"dest" minLength:"1" maxLength:"4096" doc:"absolute name of the folder"`
	At    string   `json:"at,omitempty" doc:"as it was at this time; empty is as it is"`
}
