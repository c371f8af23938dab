package s3_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/tunesafe/tunesafe/internal/store"
	"github.com/tunesafe/tunesafe/internal/store/s3"
	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
)

// noCredentials takes all that the SDK's chain could find on this machine away.
func noCredentials(t *testing.T) {
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", "/nonexistent")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
}

// session asks a server for temporary credentials.
func session(t *testing.T, server *realserver.Server) s3.Credentials {
	t.Helper()
	sdk := aws.Config{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider(server.AccessKey, server.SecretKey, "")}
	out, err := sts.NewFromConfig(sdk, func(o *sts.Options) { o.BaseEndpoint = &server.Endpoint }).AssumeRole(t.Context(),
		&sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::123456789012:role/music"), RoleSessionName: aws.String("tunesafe")})
	if err != nil {
		t.Fatal(err)
	}
	return s3.Credentials{AccessKey: *out.Credentials.AccessKeyId, SecretKey: *out.Credentials.SecretAccessKey, SessionToken: *out.Credentials.SessionToken}
}

// serves wants that a store can write and read with the credentials it finds.
func serves(t *testing.T, s *s3.Store) {
	t.Helper()
	if err := s.Put(t.Context(), "object", []byte("abc")); err != nil {
		t.Fatal(err)
	}
	if err := read(context.Background(), s, 0, -1); err != nil {
		t.Fatal(err)
	}
}

// process is a profile whose credentials come from a program, which tells those
// that give wrote last.
type process struct{ answer string }

func newProcess(t *testing.T) process {
	dir := t.TempDir()
	p := process{filepath.Join(dir, "answer.json")}
	conf := filepath.Join(dir, "config")
	text := fmt.Sprintf("[profile music]\nregion = us-east-1\ncredential_process = cat %s\n", p.answer)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CONFIG_FILE", conf)
	return p
}

func (p process) give(t *testing.T, c s3.Credentials, until time.Time) {
	t.Helper()
	b, err := json.Marshal(map[string]any{"Version": 1, "AccessKeyId": c.AccessKey, "SecretAccessKey": c.SecretKey,
		"SessionToken": c.SessionToken, "Expiration": until.UTC().Format(time.RFC3339)})
	if err == nil {
		err = os.WriteFile(p.answer, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestTemporaryCredentials has a store open for longer than its credentials last.
func TestTemporaryCredentials(t *testing.T) {
	noCredentials(t)
	t.Run("Embedded", func(t *testing.T) { // which knows no tokens
		server := realserver.StartEmbedded(t)
		openBucket(t, config(server))
		c := s3.Credentials{AccessKey: server.AccessKey, SecretKey: server.SecretKey}
		outlive(t, server, c, c)
	})
	if !realserver.WithMinIO() {
		return
	}
	server := realserver.StartMinIO(t)
	openBucket(t, config(server))
	t.Run("MinIO", func(t *testing.T) { outlive(t, server, session(t, server), session(t, server)) })
	t.Run("environment", func(t *testing.T) { fromEnvironment(t, server) })
	t.Run("role", func(t *testing.T) { assumed(t, server) })
	t.Run("edited file", func(t *testing.T) { edited(t, server) })
}

// outlive goes from some credentials to others without a word to the store.
func outlive(t *testing.T, server *realserver.Server, before, after s3.Credentials) {
	p := newProcess(t)
	renewed := time.Now().Add(5 * time.Second)
	p.give(t, before, renewed.Add(time.Minute)) // a minute before that they are renewed
	c := config(server)
	c.Credentials, c.Profile = s3.Credentials{}, "music"
	s := open(t, c)
	serves(t, s)
	if got, last, err := s.Credentials(t.Context()); err != nil || got != before || last {
		t.Errorf("got %+v, lasting %v, %v", got, last, err)
	}
	if err := os.Remove(p.answer); err != nil {
		t.Fatal(err)
	}
	// Nobody asks meanwhile, which a machine too busy to look in time does not show.
	if err := s.Put(t.Context(), "object", []byte("abc")); err != nil && time.Now().Before(renewed.Add(-time.Second)) {
		t.Fatal(err)
	}
	time.Sleep(time.Until(renewed) + time.Second)
	expectOnly(t, s.Put(t.Context(), "object", nil), store.ErrDenied)
	p.give(t, after, time.Now().Add(time.Hour))
	serves(t, s)
	if got, _, err := s.Credentials(t.Context()); err != nil || got != after {
		t.Errorf("got %+v, want %+v, %v", got, after, err)
	}
}

// fromEnvironment needs the token, too.
func fromEnvironment(t *testing.T, server *realserver.Server) {
	given := session(t, server)
	t.Setenv("AWS_ACCESS_KEY_ID", given.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", given.SecretKey)
	t.Setenv("AWS_SESSION_TOKEN", given.SessionToken)
	c := config(server)
	c.Credentials = s3.Credentials{}
	serves(t, open(t, c))
	t.Setenv("AWS_SESSION_TOKEN", strings.ToUpper(given.SessionToken))
	expectOnly(t, open(t, c).Put(t.Context(), "object", nil), store.ErrDenied)
}

// assumed has the SDK's chain ask the server itself for a role.
func assumed(t *testing.T, server *realserver.Server) {
	conf := filepath.Join(t.TempDir(), "config")
	text := fmt.Sprintf("[profile base]\naws_access_key_id = %s\naws_secret_access_key = %s\n"+
		"[profile music]\nregion = us-east-1\nsource_profile = base\nrole_arn = arn:aws:iam::123456789012:role/music\n", server.AccessKey, server.SecretKey)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CONFIG_FILE", conf)
	t.Setenv("AWS_ENDPOINT_URL_STS", server.Endpoint)
	c := config(server)
	c.Credentials, c.Profile = s3.Credentials{}, "music"
	s := open(t, c)
	serves(t, s)
	if got, last, err := s.Credentials(t.Context()); err != nil || got.SessionToken == "" || last {
		t.Errorf("got %+v, lasting %v, %v", got, last, err)
	}
}

// edited has the person correct the shared file while the store is open.
func edited(t *testing.T, server *realserver.Server) {
	file := filepath.Join(t.TempDir(), "credentials")
	put := func(secret string) {
		text := fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", server.AccessKey, secret)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	put("wrong")
	c := config(server)
	c.Credentials = s3.Credentials{}
	s := open(t, c)
	expectOnly(t, s.Put(t.Context(), "object", nil), store.ErrDenied)
	put(server.SecretKey)
	begun := time.Now()
	for err := s.Put(t.Context(), "object", nil); err != nil; err = s.Put(t.Context(), "object", nil) {
		if time.Since(begun) > 2*time.Minute {
			t.Fatal("the corrected file was not read")
		}
		time.Sleep(time.Second)
	}
}

// TestCorrectedSecret has another secret under the same access key, as where a
// mistyped one is corrected.
func TestCorrectedSecret(t *testing.T) {
	server := realserver.StartEmbedded(t)
	openBucket(t, config(server))
	given := s3.Credentials{AccessKey: server.AccessKey, SecretKey: "mistyped"}
	c := config(server)
	c.Credentials = given
	s := open(t, c)
	s.RenewWith(func() (s3.Credentials, error) { return given, nil })
	expectOnly(t, s.Put(t.Context(), "object", nil), store.ErrDenied)
	given.SecretKey = server.SecretKey
	serves(t, s)
}
