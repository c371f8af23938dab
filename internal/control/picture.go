package control

import "context"

// PictureRequest asks what a library is made of.
type PictureRequest struct {
	Path []byte `json:"path"` // on the drive, from its top
}

// Picture is what `tunesafe picture --json` prints. Sizes are bytes.
type Picture struct {
	Where string `json:"path"`
	Files int64  `json:"files"` // whatever they are
	Bytes int64  `json:"bytes"`

	Tracks   int64   `json:"tracks"` // files that hold music
	Artists  int64   `json:"artists"`
	Albums   int64   `json:"albums"`
	Seconds  float64 `json:"seconds"`
	ArtBytes int64   `json:"art_bytes"` // of pictures in tracks, each as often as it is there
	Untagged int64   `json:"untagged"`  // tracks without title, artist and album
	Unread   int64   `json:"unread"`    // files of which it is not known yet whether they are tracks

	Formats []PictureFormat `json:"formats"` // the largest first
	Bought  PictureCount    `json:"bought"`
	Ripped  PictureCount    `json:"ripped"`
	Unknown PictureCount    `json:"unknown"` // tracks of which nothing tells where they came from

	SafeWord      string `json:"safe_word"`      // "safe", or "copied on this computer"
	LabourWaiting int64  `json:"labour_waiting"` // files whose name or tags are not in the store yet
	AudioBytes    int64  `json:"audio_bytes"`    // what goes behind names and tags
	AudioSafe     int64  `json:"audio_safe_bytes"`

	Places []PicturePlace `json:"places"`
}

// PictureFormat counts the tracks of a format.
type PictureFormat struct {
	Name string `json:"name"`
	PictureCount
}

// PictureCount counts tracks.
type PictureCount struct {
	Tracks  int64   `json:"tracks"`
	Bytes   int64   `json:"bytes"`
	Seconds float64 `json:"seconds"`
}

// PicturePlace is a folder that is backed up, with the libraries in it.
type PicturePlace struct {
	Name      string           `json:"name"`
	Root      string           `json:"root"`
	Libraries []PictureLibrary `json:"libraries"`
}

// PictureLibrary is a library of iTunes or Music, as it was when its folder was
// last backed up.
type PictureLibrary struct {
	Path      string          `json:"path"`      // in the place
	Tracks    int64           `json:"tracks"`    // it knows
	Here      int64           `json:"here"`      // of them, in the place
	Missing   int64           `json:"missing"`   // and nowhere on this computer
	Examples  []string        `json:"examples"`  // of missing ones
	Elsewhere int64           `json:"elsewhere"` // on this computer, in folders that this place does not hold
	Folders   []PictureFolder `json:"folders"`   // those
	Streams   int64           `json:"streams"`   // without a file of their own
	Rated     int64           `json:"rated"`
	Played    int64           `json:"played"`
	Plays     int64           `json:"plays"`
	Playlists int64           `json:"playlists"`
	Exported  int64           `json:"exported"` // of them, as M3U on the drive
	Damage    string          `json:"damage,omitempty"`
}

// PictureFolder is a folder with tracks of a library that is not backed up with
// it.
type PictureFolder struct {
	Path   string `json:"path"`
	Tracks int64  `json:"tracks"`
}

// Picture implements [Owner].
func (c *Client) Picture(ctx context.Context, r PictureRequest) (Picture, error) {
	return call[Picture](ctx, c, "picture", r, (func(nothing))(nil))
}

func (s *Server) picture(ctx context.Context, r PictureRequest, _ func(nothing)) (Picture, error) {
	return s.owner.Picture(ctx, r)
}
