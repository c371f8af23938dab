package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	bolt "go.etcd.io/bbolt"

	"github.com/tunesafe/tunesafe/internal/control"
	"github.com/tunesafe/tunesafe/internal/store/s3"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"tunesafe": main})
}

// The credentials of the servers in scripts.
const testAccess, testSecret = "script", "script-secret"

// TestScripts runs the command line as people do: testdata/*.txtar, each in a
// folder, with a home and an environment of its own.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup:               setup,
		Condition:           condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"server": startServer,
			"stop":   stopServer,
			"fake":   startFake,
			"put":    putObject,
			"killed": killOwner,
			"ending": endOwner,
			"newer":  makeNewer,
			"track":  makeTrack,
			"moment": noteMoment,
			"itunes": makeLibrary,
		},
	})
}

func setup(e *testscript.Env) error {
	user := filepath.Join(e.WorkDir, "user")
	if err := os.Mkdir(user, 0o700); err != nil {
		return err
	}
	restore, err := filepath.Abs("../../tests/restore.py")
	if err != nil {
		return err
	}
	e.Setenv("RESTORE", restore)
	e.Setenv("HOME", user)
	e.Setenv("XDG_DATA_HOME", filepath.Join(e.WorkDir, "data"))
	e.Setenv("TUNESAFE_HOME", filepath.Join(e.WorkDir, "home"))
	e.Setenv("AWS_ACCESS_KEY_ID", testAccess)
	e.Setenv("AWS_SECRET_ACCESS_KEY", testSecret)
	e.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	e.Defer(func() { takeAway(e.WorkDir) })
	return nil
}

// takeAway ends the mounts that a script which failed left behind.
func takeAway(dir string) {
	table, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(table)) {
		if path, kind := parseMount(line); kind == mountType && within(path, dir) {
			_ = detach(path)
		}
	}
}

// condition knows fuse (a drive can be mounted here), root, and unshare (mounts
// of one's own can be made).
func condition(name string) (bool, error) {
	switch name {
	case "fuse":
		return available(name, checkFUSE(false))
	case "root":
		return os.Geteuid() == 0, nil
	case "unshare":
		return available(name, exec.Command("unshare", "-rm", "true").Run())
	}
	return false, fmt.Errorf("unknown condition %q", name)
}

// available makes what is missing an error where everything is required.
func available(name string, missing error) (bool, error) {
	if missing != nil && os.Getenv("TUNESAFE_REQUIRE_TOOLS") == "1" {
		return false, fmt.Errorf("%s is required: %w", name, missing)
	}
	return missing == nil, nil
}

// startServer is "server DIR": a tunesafe serve, whose URL becomes $S3.
func startServer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: server DIR")
	}
	server := exec.Command("tunesafe", "serve", "--dir", ts.MkAbs(args[0]), "--listen", "127.0.0.1:0")
	server.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+testAccess, "AWS_SECRET_ACCESS_KEY="+testSecret)
	out, err := server.StdoutPipe()
	ts.Check(err)
	ts.Check(server.Start())
	ts.Defer(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	ts.Setenv("S3PID", fmt.Sprint(server.Process.Pid))
	line, err := bufio.NewReader(out).ReadString('\n')
	ts.Check(err)
	_, url, ok := strings.Cut(strings.TrimSpace(line), " at ")
	if !ok {
		ts.Fatalf("server said %q", line)
	}
	ts.Setenv("S3", url)
}

// stopServer is "stop": the end of the last server, as when a network goes.
func stopServer(ts *testscript.TestScript, neg bool, args []string) {
	var pid int
	if _, err := fmt.Sscan(ts.Getenv("S3PID"), &pid); err != nil || neg || len(args) != 0 {
		ts.Fatalf("no server: %v", err)
	}
	ts.Check(syscall.Kill(pid, syscall.SIGKILL))
}

// startFake is "fake KIND": an S3 server that is wrong in one way, as $S3.
func startFake(ts *testscript.TestScript, neg bool, args []string) {
	kinds := map[string]http.HandlerFunc{"clock": fakeClock, "nobucket": fakeNoBucket, "full": fakeFull,
		"oneclass": fakeOneClass, "archived": fakeArchived}
	if neg || len(args) != 1 || kinds[args[0]] == nil {
		ts.Fatalf("usage: fake KIND")
	}
	server := httptest.NewServer(kinds[args[0]])
	ts.Defer(server.Close)
	ts.Setenv("S3", server.URL)
}

// fakeClock is an hour ahead.
func fakeClock(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
	w.WriteHeader(http.StatusOK)
}

// fakeNoBucket has no bucket and lets none be made.
func fakeNoBucket(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	refuse(w, http.StatusForbidden, "AccessDenied")
}

// fakeFull has an empty bucket with no room in it.
func fakeFull(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodHead:
		w.WriteHeader(http.StatusOK)
	case http.MethodGet:
		fmt.Fprint(w, `<?xml version="1.0"?><ListBucketResult><Name>b</Name><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>`)
	default:
		refuse(w, http.StatusInsufficientStorage, "InsufficientStorage")
	}
}

// fakeOneClass has an empty bucket that takes objects of no class.
func fakeOneClass(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-Amz-Storage-Class") != "" {
		refuse(w, http.StatusBadRequest, "InvalidStorageClass")
		return
	}
	fakeFull(w, r)
}

// fakeArchived has moved everything to an archive.
func fakeArchived(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return
	}
	refuse(w, http.StatusForbidden, "InvalidObjectState")
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, `<?xml version="1.0"?><Error><Code>%s</Code><Message>no</Message></Error>`, code)
}

// putObject is "put s3://bucket/prefix KEY FILE".
func putObject(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: put s3://bucket/prefix KEY FILE")
	}
	bucket, prefix, err := s3.ParseURL(args[0])
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	st, err := s3.Open(ctx, s3.Config{
		Bucket: bucket, Prefix: prefix, Endpoint: ts.Getenv("S3"), Region: "us-east-1",
		Credentials: s3.Credentials{AccessKey: testAccess, SecretKey: testSecret},
	})
	ts.Check(err)
	ts.Check(st.Put(ctx, args[1], []byte(ts.ReadFile(args[2]))))
}

// killOwner is "killed": kill -9 for the process that serves $TUNESAFE_HOME.
func killOwner(ts *testscript.TestScript, neg bool, args []string) {
	text := ts.ReadFile(filepath.Join(ts.Getenv("TUNESAFE_HOME"), "run", "lock"))
	var pid int
	if _, err := fmt.Sscan(text, &pid); err != nil || neg || len(args) != 0 {
		ts.Fatalf("no owner: %v", err)
	}
	owner, err := os.FindProcess(pid)
	ts.Check(err)
	ts.Check(owner.Kill())
	for start := time.Now(); time.Since(start) < time.Minute; time.Sleep(10 * time.Millisecond) {
		if err := owner.Signal(syscall.Signal(0)); errors.Is(err, os.ErrProcessDone) || zombie(pid) {
			return
		}
	}
	ts.Fatalf("process %d lives on", pid)
}

// endOwner is "ending": a process that served $TUNESAFE_HOME and ends, which for a while takes
// calls and answers none.
func endOwner(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: ending")
	}
	l, err := control.Listen(filepath.Join(ts.Getenv("TUNESAFE_HOME"), "run"))
	ts.Check(err)
	go func() {
		defer l.Close()
		for range 6 { // a command calls twice
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
}

// makeNewer is "newer HOME": its database is of a program to come.
func makeNewer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: newer HOME")
	}
	db, err := bolt.Open(filepath.Join(ts.MkAbs(args[0]), "state", "namespace.db"), 0o600, nil)
	ts.Check(err)
	ts.Check(errors.Join(db.Update(func(tx *bolt.Tx) error {
		return tx.Bucket([]byte("meta")).Put([]byte("meta____schema"), binary.BigEndian.AppendUint64(nil, 99))
	}), db.Close()))
}

// zombie tells whether a process is dead and nobody has waited for it yet.
func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}
