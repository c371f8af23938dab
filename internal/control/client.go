package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// Client asks the owner of a home. It implements [Owner], so that a command
// need not care whether another process does the work.
type Client struct{ http http.Client }

var _ Owner = (*Client)(nil)

// Dial connects to the owner whose socket is in dir; [ErrNoOwner] if there is
// none. Nothing is kept open between requests.
func Dial(ctx context.Context, dir string) (*Client, error) {
	probe, err := dial(ctx, dir)
	if err != nil {
		return nil, err
	}
	probe.Close()
	t := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dial(ctx, dir)
		},
	}
	return &Client{http.Client{Transport: t}}, nil
}

// Status implements [Owner].
func (c *Client) Status(ctx context.Context) (Status, error) {
	return call[Status](ctx, c, "status", nothing{}, func(nothing) {})
}

// Wait implements [Owner].
func (c *Client) Wait(ctx context.Context, r WaitRequest, progress func(Status)) (Status, error) {
	return call[Status](ctx, c, "wait", r, progress)
}

// Unmount implements [Owner].
func (c *Client) Unmount(ctx context.Context, r UnmountRequest, progress func(Status)) (Status, error) {
	return call[Status](ctx, c, "unmount", r, progress)
}

// Restore implements [Owner].
func (c *Client) Restore(ctx context.Context, r RestoreRequest, progress func(RestoreProgress)) (RestoreProgress, error) {
	return call[RestoreProgress](ctx, c, "restore", r, progress)
}

// List implements [Owner].
func (c *Client) List(ctx context.Context, r ListRequest, entry func(Entry)) error {
	_, err := call[nothing](ctx, c, "list", r, entry)
	return err
}

// Check implements [Owner].
func (c *Client) Check(ctx context.Context, r CheckRequest, progress func(CheckProgress)) (CheckReport, error) {
	return call[CheckReport](ctx, c, "check", r, progress)
}

// Log implements [Owner].
func (c *Client) Log(ctx context.Context, r LogRequest, commit func(LogCommit)) (LogReport, error) {
	return call[LogReport](ctx, c, "log", r, commit)
}

// ExportLog implements [Owner].
func (c *Client) ExportLog(ctx context.Context, r ExportRequest, progress func(LogReport)) (ExportReport, error) {
	return call[ExportReport](ctx, c, "export-log", r, progress)
}

// Backup implements [Owner].
func (c *Client) Backup(ctx context.Context, r BackupRequest, progress func(BackupProgress)) (BackupReport, error) {
	return call[BackupReport](ctx, c, "backup", r, progress)
}

// Detach implements [Owner].
func (c *Client) Detach(ctx context.Context, r DetachRequest) error {
	_, err := call[nothing](ctx, c, "detach", r, func(nothing) {})
	return err
}

// Decide implements [Owner].
func (c *Client) Decide(ctx context.Context, r DecideRequest) (DecideReport, error) {
	return call[DecideReport](ctx, c, "decide", r, func(nothing) {})
}

// received is a [frame] as it arrives.
type received struct {
	Progress json.RawMessage `json:"progress"`
	Result   json.RawMessage `json:"result"`
	Fault    *Fault          `json:"fault"`
}

// call makes one request and follows its answer.
func call[Out, P any](ctx context.Context, c *Client, name string, in any, progress func(P)) (out Out, err error) {
	body, err := json.Marshal(in)
	if err != nil {
		return out, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://tunesafe/v1/"+name, bytes.NewReader(body))
	if err != nil {
		return out, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return out, ended(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return out, refusal(name, resp)
	}
	for in := json.NewDecoder(resp.Body); ; {
		var f received
		if err := in.Decode(&f); err != nil {
			return out, ended(ctx, err)
		}
		switch {
		case f.Fault != nil:
			return out, f.Fault
		case f.Result != nil:
			return out, json.Unmarshal(f.Result, &out)
		case f.Progress != nil && progress != nil:
			var p P
			if err := json.Unmarshal(f.Progress, &p); err != nil {
				return out, err
			}
			progress(p)
		}
	}
}

// refusal is an answer that is none: an owner of another version, most likely.
func refusal(name string, resp *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
	return fmt.Errorf("the process that serves this home refused %s: %s: %s", name, resp.Status, strings.TrimSpace(string(text)))
}

// ended tells why an answer broke off.
func ended(ctx context.Context, err error) error {
	if cause := ctx.Err(); cause != nil {
		return cause
	}
	if errors.Is(err, ErrNoOwner) {
		return ErrNoOwner
	}
	return fmt.Errorf("%w: %w", ErrEnded, err)
}
