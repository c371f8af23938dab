package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The columns of programs.
const (
	own        = "tunesafe"
	rawName    = "raw"
	sealedName = "sealed"
)

// makers are all programs that can be compared, in order of their columns. They
// run as they come, unless the name of the column says otherwise.
func makers() []maker {
	return []maker{
		{own, "tunesafe", []string{"version"}, makeOwn},
		{"restic", "restic", []string{"version"}, makeRestic},
		{"kopia", "kopia", []string{"--version"}, makeKopia},
		{"rclone", "rclone", []string{"version"}, makeRclone},
		{"s3fs", "s3fs", []string{"--version"}, makeS3fs},
		{"geesefs", "geesefs", []string{"--version"}, makeGeesefs},
		{"juicefs", "juicefs", []string{"version"}, makeJuicefs},
		{"s5cmd", "s5cmd", []string{"version"}, makeS5cmd},
		{rawName, "", nil, makeRaw("put", "get")},
		{sealedName, "", nil, makeRaw("seal", "unseal")},
	}
}

// fixed is for arguments that are known beforehand.
func fixed(args ...string) func(context.Context, string) ([]string, error) {
	return func(context.Context, string) ([]string, error) { return args, nil }
}

// with is for arguments of which the last is the mount point.
func with(args ...string) func(context.Context, string) ([]string, error) {
	return func(_ context.Context, at string) ([]string, error) {
		return append(args[:len(args):len(args)], at), nil
	}
}

func atTop(at, _ string) string         { return at }
func below(at, library string) string   { return filepath.Join(at, filepath.Base(library)) }
func inMusic(at, library string) string { return filepath.Join(at, "Music") }

func makeOwn(l *lab, program, dir, bucket string) *peer {
	first, other := filepath.Join(dir, "home"), filepath.Join(dir, "cache", "home")
	open := func(home string) []string {
		return []string{program, "init", "--home", home, "--store", "s3://" + bucket + "/library", "--endpoint", l.server.proxy.URL, "--region", region}
	}
	mount := with(program, "mount", "--home", other, "--foreground")
	return &peer{
		env:     []string{"TUNESAFE_HOME=" + first, "AWS_EC2_METADATA_DISABLED=true"},
		prepare: [][]string{open(first)},
		rejoin:  [][]string{append(open(other), "--recovery-key", filepath.Join(first, "recovery.key"))},
		backup:  func(library string) []string { return []string{program, "backup", library} },
		restore: with(program, "restore", "--home", other, "/"),
		tree:    func(dest string) string { return filepath.Join(dest, libraryName) },
		views:   []variant{{own, mount, below, false}},
		drive:   &variant{own, mount, inMusic, true},
		synced:  func() []string { return []string{program, "wait", "--home", other} },
	}
}

func makeRestic(l *lab, program, dir, bucket string) *peer {
	library := filepath.Join(dir, libraryName)
	return &peer{
		env: []string{"RESTIC_REPOSITORY=s3:" + l.server.proxy.URL + "/" + bucket, "RESTIC_PASSWORD=x",
			"RESTIC_CACHE_DIR=" + filepath.Join(dir, "cache")},
		prepare: [][]string{{program, "init"}},
		backup:  func(library string) []string { return []string{program, "backup", "-q", library} },
		restore: with(program, "restore", "-q", "latest", "--target"),
		tree:    func(dest string) string { return filepath.Join(dest, library) },
		views: []variant{{"restic", with(program, "mount"),
			func(at, library string) string { return filepath.Join(at, "snapshots", "latest", library) }, false}},
	}
}

func makeKopia(l *lab, program, dir, bucket string) *peer {
	where := []string{"s3", "--bucket", bucket, "--endpoint", strings.TrimPrefix(l.server.proxy.URL, "http://"), "--disable-tls",
		"--access-key", accessKey, "--secret-access-key", secretKey, "--region", region}
	p := &peer{
		env: []string{"KOPIA_CONFIG_PATH=" + filepath.Join(dir, "cache", "config"), "KOPIA_CACHE_DIRECTORY=" + filepath.Join(dir, "cache"),
			"KOPIA_PASSWORD=x", "KOPIA_CHECK_FOR_UPDATES=false", "KOPIA_LOG_DIR=" + filepath.Join(dir, "log")},
		prepare: [][]string{append([]string{program, "repository", "create"}, where...)},
		rejoin:  [][]string{append([]string{program, "repository", "connect"}, where...)},
		backup: func(library string) []string {
			return []string{program, "snapshot", "create", "--no-progress", library}
		},
	}
	latest := func(ctx context.Context) (string, error) {
		out, err := p.command(ctx, []string{program, "snapshot", "list", "--json", "--all"}).Output()
		var list []struct{ RootEntry struct{ Obj string } }
		if err := errors.Join(err, json.Unmarshal(out, &list)); err != nil || len(list) == 0 {
			return "", fmt.Errorf("kopia snapshot list: %w", err)
		}
		return list[len(list)-1].RootEntry.Obj, nil
	}
	p.restore = func(ctx context.Context, dest string) ([]string, error) {
		obj, err := latest(ctx)
		return []string{program, "restore", "--no-progress", obj, dest}, err
	}
	p.views = []variant{{"kopia", func(ctx context.Context, at string) ([]string, error) {
		obj, err := latest(ctx)
		return []string{program, "mount", obj, at}, err
	}, atTop, false}}
	return p
}

func makeRclone(l *lab, program, dir, bucket string) *peer {
	remote := "r:" + bucket
	mount := []string{program, "mount", remote, "--vfs-cache-mode", "full", "--cache-dir", filepath.Join(dir, "cache")}
	// As somebody has it who read the manual: small pieces, no reading ahead, times of the listing.
	tuned := append(mount[:len(mount):len(mount)], "--vfs-read-chunk-size", "512k", "--buffer-size", "0", "--vfs-read-ahead", "0",
		"--transfers", "16", "--use-server-modtime")
	return &peer{
		env: []string{"RCLONE_CONFIG=" + filepath.Join(dir, "rclone.conf"), "RCLONE_CONFIG_R_TYPE=s3", "RCLONE_CONFIG_R_PROVIDER=Other",
			"RCLONE_CONFIG_R_ACCESS_KEY_ID=" + accessKey, "RCLONE_CONFIG_R_SECRET_ACCESS_KEY=" + secretKey, "RCLONE_CONFIG_R_REGION=" + region,
			"RCLONE_CONFIG_R_ENDPOINT=" + l.server.proxy.URL, "RCLONE_CONFIG_R_FORCE_PATH_STYLE=true", "RCLONE_CONFIG_R_NO_CHECK_BUCKET=true"},
		prepare: [][]string{{program, "config", "touch"}},
		backup:  func(library string) []string { return []string{program, "sync", library, remote} },
		restore: with(program, "copy", remote),
		views:   []variant{{"rclone", with(mount...), atTop, false}, {"rclone tuned", with(tuned...), atTop, false}},
		drive:   &variant{"rclone", with(mount...), inMusic, true},
	}
}

func makeS3fs(l *lab, program, dir, bucket string) *peer {
	secret := filepath.Join(dir, "secret")
	v := variant{"s3fs", func(_ context.Context, at string) ([]string, error) {
		err := os.WriteFile(secret, []byte(accessKey+":"+secretKey), 0o600)
		return []string{program, bucket, at, "-f", "-o", "passwd_file=" + secret + ",url=" + l.server.proxy.URL +
			",use_path_request_style,use_cache=" + filepath.Join(dir, "cache") + ",enable_noobj_cache,dbglevel=crit"}, err
	}, inMusic, true}
	return &peer{views: []variant{v}, drive: &v}
}

func makeGeesefs(l *lab, program, dir, bucket string) *peer {
	v := variant{"geesefs", with(program, "-f", "--endpoint", l.server.proxy.URL, "--region", region, "--cache", filepath.Join(dir, "cache"), bucket), inMusic, true}
	return &peer{views: []variant{v}, drive: &v}
}

// makeJuicefs keeps names in a file of this computer, which also a cold mount
// has: its listings cost no request.
func makeJuicefs(l *lab, program, dir, bucket string) *peer {
	meta := "sqlite3://" + filepath.Join(dir, "meta.db")
	v := variant{"juicefs", with(program, "mount", "--writeback", "--no-usage-report", "--backup-meta", "0", "--cache-dir", filepath.Join(dir, "cache"),
		"--log", filepath.Join(dir, "juicefs.log"), meta), inMusic, true}
	return &peer{
		prepare: [][]string{{program, "format", "--storage", "s3", "--bucket", l.server.proxy.URL + "/" + bucket, "--access-key", accessKey,
			"--secret-key", secretKey, "--trash-days", "0", meta, "bench"}},
		views: []variant{v}, drive: &v,
	}
}

func makeS5cmd(l *lab, program, _, bucket string) *peer {
	call := []string{program, "--endpoint-url", l.server.proxy.URL, "--log", "error"}
	return &peer{
		backup: func(library string) []string { return append(call[:5:5], "sync", library+"/", "s3://"+bucket+"/") },
		restore: func(_ context.Context, dest string) ([]string, error) {
			return append(call[:5:5], "cp", "s3://"+bucket+"/*", dest+"/"), nil
		},
	}
}

func makeRaw(put, get string) func(l *lab, program, _, bucket string) *peer {
	return func(l *lab, program, _, bucket string) *peer {
		return &peer{
			backup: func(library string) []string {
				return []string{program, copyRaw, put, l.server.proxy.URL, bucket, library}
			},
			restore: with(program, copyRaw, get, l.server.proxy.URL, bucket),
		}
	}
}

// copyRawMain is the process of the columns raw and sealed.
func copyRawMain(args []string) int {
	if len(args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: bench "+copyRaw+" put|get|seal|unseal ENDPOINT BUCKET DIR")
		return 2
	}
	if err := raw(context.Background(), args[0], args[1], args[2], args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		return 1
	}
	return 0
}
