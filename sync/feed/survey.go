package feed

import (
	"errors"
	"io/fs"
	"os"

	"github.com/tunesafe/tunesafe/cache"
	"github.com/tunesafe/tunesafe/internal/folder"
	"github.com/tunesafe/tunesafe/internal/repo"
	"github.com/tunesafe/tunesafe/internal/split"
	tsync "github.com/tunesafe/tunesafe/sync"
)

// verdict is what a survey finds of a file that differs. The zero value is an
// ordinary change of content.
type verdict struct {
	touched bool // the same bytes
	skip    bool // it stays in the place as it is, for now
	kind    Kind // what is suspicious about it
}

// survey looks at every file that differs before anything is applied.
func (s *scan) survey() error {
	s.tell.phase(PhaseSurvey)
	for _, p := range s.diff {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		if p.moved {
			continue
		}
		v, err := s.judge(p)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, errWritten):
			s.young = append(s.young, p.path())
			v.skip = true
		case isLocal(err):
			return err
		case err != nil:
			s.problem(p.path(), err)
			v.skip = true
		}
		if p.verdict = v; s.suspects[p.k.e.Ino] && (v.skip || v.kind == Rot) {
			s.suspected[p.k.e.Ino] = true
		}
		s.tell.surveyed()
	}
	return nil
}

// errWritten: the file is not what the walk saw.
var errWritten = errors.New("changed while it was read")

// localError is an error of the cache, and not of the folder.
type localError struct{ error }

func (e localError) Unwrap() error { return e.error }

func isLocal(err error) bool {
	_, ok := errors.AsType[localError](err)
	return ok
}

func (s *scan) judge(p *pair) (v verdict, err error) {
	if !p.st.IsFile() {
		return verdict{touched: true}, nil
	}
	d, err := s.dirAt(p.in.path)
	if err != nil {
		return v, err
	}
	f, err := d.Open(p.name)
	if err != nil {
		return v, err
	}
	defer f.Close()
	if v, err = s.compareBytes(f, p); err != nil {
		return v, err
	}
	if st, err := folder.FileStat(f); err != nil || !sameTimes(originOf(p.st), st) {
		return v, errors.Join(err, errWritten)
	}
	return v, nil
}

// compareBytes compares a file with what the place knows of it: labour first, and
// the rest only if that is the same.
func (s *scan) compareBytes(f *os.File, p *pair) (v verdict, err error) {
	if isLibrary(p.name) && s.libraries.broke(p.k.e.Ino, f, p.st.Size) {
		return verdict{kind: Library}, nil
	}
	was, cut, err := s.o.Cache.RecipeOf(p.k.e.Ino)
	if err != nil {
		return v, localError{err}
	}
	if !cut || len(was.Parts) == 0 && was.Size > 0 {
		return v, nil // the place does not know yet either
	}
	if s.suspects[p.k.e.Ino] && p.st.Size == was.Size {
		return s.judgeSuspect(f, was)
	}
	l, err := split.Split(f, p.st.Size)
	if err != nil {
		return v, readError(err)
	}
	if holdsSound(kindsOf(was)) && !holdsSound(l.Parts) {
		return verdict{kind: Encrypted}, nil
	}
	labour, rest, err := s.sameParts(f, l, was, s.soundAsBefore(p))
	switch {
	case err != nil:
		return v, readError(err)
	case labour == same && rest == same:
		return verdict{touched: true}, nil
	case labour == same && rest == other && holdsSound(l.Parts) && sameContent(p.k.e.Origin, p.st):
		return verdict{kind: Rot}, nil // nobody who means it puts the time back
	case labour == same && rest == other && holdsSound(l.Parts):
		return verdict{kind: Rotten}, nil
	case labour == other && s.lostLabel(f, l, p, was):
		return verdict{kind: Emptied}, nil
	}
	return v, nil
}

// judgeSuspect reads a file again that was found to differ.
func (s *scan) judgeSuspect(f *os.File, was *cache.Recipe) (verdict, error) {
	forget(f)
	intact, known, err := tsync.Intact(s.o.Keys, f, was)
	switch {
	case err != nil:
		return verdict{}, readError(err)
	case intact || !known:
		return verdict{touched: true}, nil
	}
	return verdict{kind: Rot}, nil
}

// soundAsBefore tells whether the sound of a file need not be read. A rename moves
// the ctime, which else tells of changes that hide from size and mtime: those of
// taggers that put the mtime back. They write tags, and often the name with them.
// What is held for other sound is read whatever it is called by now.
func (s *scan) soundAsBefore(p *pair) bool {
	return p.from != nil && sameContent(p.k.e.Origin, p.st) && s.sameInode(p.k.e.Origin, p.st) && !s.rotten[p.k.e.Ino]
}

// readError tells a file that became shorter from one that cannot be read.
func readError(err error) error {
	if errors.Is(err, os.ErrPermission) {
		return err
	}
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return err
	}
	return errors.Join(errWritten, err)
}

// likeness is how the bytes of parts compare.
type likeness int

const (
	same likeness = iota
	other
	unknown
)

// sameParts compares labour, which is tags and art, and then the rest: the first
// part that differs ends either. Without sound all of that but its beginning is
// passed over.
func (s *scan) sameParts(f *os.File, l split.Layout, was *cache.Recipe, noSound bool) (labour, rest likeness, err error) {
	if len(l.Parts) != len(was.Parts) {
		return other, other, nil
	}
	for _, labourers := range []bool{true, false} {
		like := same
		for i, kind := range l.Parts {
			if isLabour(kind) != labourers || noSound && kind == split.Audio {
				continue
			}
			eq, known, err := tsync.SamePart(s.o.Keys, f, l, i, was.Parts[i])
			if err != nil {
				return other, other, err
			}
			if !known {
				like = unknown
			} else if !eq {
				like = other
				break
			}
		}
		if labourers {
			if labour = like; like != same {
				return labour, unknown, nil
			}
		}
		rest = like
	}
	return labour, rest, nil
}

func isLabour(k split.Kind) bool { return k == split.Tags || k == split.Art }

func holdsSound(kinds []split.Kind) bool {
	for _, k := range kinds {
		if k == split.Probe || k == split.Audio {
			return true
		}
	}
	return false
}

func kindsOf(r *cache.Recipe) (kinds []split.Kind) {
	for _, p := range r.Parts {
		if p.Kind == repo.Probe || p.Kind == repo.Audio {
			kinds = append(kinds, split.Audio)
		}
	}
	return kinds
}
