package web

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// counts are how many tracks folders have, counted in the background.
type counts struct {
	mu sync.Mutex
	of map[string]Count
}

// begin counts a folder, once.
func (c *counts) begin(ctx context.Context, by Setup, dir string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.of[dir]; known {
		return
	}
	if c.of == nil {
		c.of = map[string]Count{}
	}
	c.of[dir] = Count{}
	go by.Count(ctx, dir, func(n Count) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.of[dir] = n
	})
}

func (c *counts) at(dir string) Count {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.of[dir]
}

// countPatience is how long a page waits for small folders to be counted.
const countPatience = 150 * time.Millisecond

// settle waits a moment, as most folders are counted in less.
func (c *counts) settle(dirs []MusicFolder) {
	for end := time.Now().Add(countPatience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if !slices.ContainsFunc(dirs, func(f MusicFolder) bool { return !c.at(f.Path).Done }) {
			return
		}
	}
}

// musicRow is a folder to choose.
type musicRow struct {
	MusicFolder
	Count
	N      int
	Chosen bool
}

func (s *Server) musicOf(c *setting) (rows []musicRow) {
	s.counts.settle(c.found)
	for i, f := range c.found {
		rows = append(rows, musicRow{f, s.counts.at(f.Path), i, slices.Contains(c.Folders, f.Path)})
	}
	return rows
}

// countOf answers with how far the counting of one folder is.
func (s *Server) countOf(w http.ResponseWriter, r *http.Request) error {
	if s.Owner != nil || s.Setup == nil {
		return s.notFound(w, r)
	}
	c := &s.setting
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := strconv.Atoi(r.URL.Query().Get("folder"))
	if err != nil || n < 0 || n >= len(c.found) {
		return s.notFound(w, r)
	}
	f := c.found[n]
	return s.fragment(w, r, "setup", "again", musicRow{MusicFolder: f, Count: s.counts.at(f.Path), N: n})
}

// chooseMusic takes the folders. What was typed is added to the list, and stays there.
func (s *Server) chooseMusic(w http.ResponseWriter, r *http.Request, c *setting) error {
	if err := r.ParseForm(); err != nil {
		return err
	}
	var chosen []string
	for _, dir := range r.PostForm["folder"] {
		if slices.ContainsFunc(c.found, func(f MusicFolder) bool { return f.Path == dir }) {
			chosen = append(chosen, dir)
		}
	}
	c.Folders, c.cost = chosen, nil
	if typed := strings.TrimSpace(r.PostFormValue("path")); typed != "" {
		f, err := s.Setup.Folder(typed)
		if err != nil {
			return err
		}
		c.add(f)
		s.counts.begin(s.closing, s.Setup, f.Path)
		if !slices.Contains(c.Folders, f.Path) {
			c.Folders = append(c.Folders, f.Path)
		}
	}
	for _, dir := range c.Folders { // a disk may have gone since
		if _, err := s.Setup.Folder(dir); err != nil {
			return err
		}
		for _, other := range c.Folders {
			if strings.HasPrefix(dir, other+"/") {
				return &Mistake{Text: dir + " is a part of " + other + ".", Hint: "Choose one of the two: what is in a folder is backed up with it."}
			}
		}
	}
	if r.PostFormValue("do") == "add" {
		http.Redirect(w, r, atMusic, http.StatusSeeOther)
		return nil
	}
	if len(c.Folders) == 0 {
		return &Mistake{Text: "No folder is chosen yet.", Hint: "Choose at least one, or type where your music is."}
	}
	http.Redirect(w, r, atPlace, http.StatusSeeOther)
	return nil
}
