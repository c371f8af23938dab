package web

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/tunesafe/tunesafe/internal/store/storetest/realserver"
	"github.com/tunesafe/tunesafe/tests/drive"
)

// hurt deletes a pack of the bucket, and flips a byte of an object of sound.
func hurt(t testing.TB, c *s3.Client) {
	t.Helper()
	first := func(folder string) string {
		l, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("music"), Prefix: aws.String(drive.Prefix + folder)})
		if err != nil || len(l.Contents) == 0 {
			t.Fatalf("%s: %v", folder, err)
		}
		return *l.Contents[0].Key
	}
	if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String("music"), Key: aws.String(first("meta/"))}); err != nil {
		t.Fatal(err)
	}
	sound := aws.String(first("audio/"))
	got, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("music"), Key: sound})
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	body[len(body)/2] ^= 1
	if _, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("music"), Key: sound, Body: bytes.NewReader(body)}); err != nil {
		t.Fatal(err)
	}
}

// TestHealth finds by the page what a store lost, sees what a repair would do, has it
// done by a button, and finds nothing any more.
func TestHealth(t *testing.T) {
	b := open(t)
	s := realserver.StartEmbedded(t)
	h := drive.New(t, s)
	h.Init(s.Endpoint)
	h.Mount("--settle", "100ms")
	library(t, h.At)
	h.Run("wait")
	b.visit(link(h, "--listen", "127.0.0.1:0"))
	b.says("Everything is safe.")
	b.follow("Health")
	b.says("Nothing was read again yet.")
	b.await("document.body.innerText.includes('6 files: 0 files read and found good')")
	b.look("health-unread")

	all := "document.getElementById('part').value = '1', true"
	value[bool](b, all)
	b.press("Read a part now")
	b.says("All that was read is good.")
	b.visit(value[string](b, "location.origin") + "/health")
	b.await("document.querySelectorAll('.shares tr').length === 5 && document.body.innerText.includes('6 files read and found good')")
	b.look("health")

	hurt(t, s.Client())
	value[bool](b, all)
	b.press("Read a part now")
	b.says("2 problems found.")
	b.await("document.querySelector('.findings').innerText.includes('Track')")
	b.look("health-findings")
	b.visit(value[string](b, "location.origin") + "/health")
	b.says("2 objects in the store cannot be read.")
	b.await("document.querySelectorAll('#files ~ .objects li').length >= 1 && document.querySelector('.shares')")
	b.look("health-damaged")

	b.press("See what a repair would do")
	b.says("All of it can be put back.")
	b.look("health-foreseen")
	if _, _, code := h.Try("check", "--read"); code != 7 {
		t.Errorf("looking ahead changed the store: check ends with %d", code)
	}
	b.press("Repair now")
	b.says("The store is in order.")
	b.look("health-repaired")
	h.Run("check", "--read")
	b.visit(value[string](b, "location.origin") + "/health")
	b.says("All that was read is good.")
	if out := h.Run("health"); strings.Contains(out, "damaged") {
		t.Errorf("it is still thought damaged: %s", out)
	}

	b.follow("Log")
	b.says("Log")
	b.await("document.querySelectorAll('.log > li').length >= 2")
	value[bool](b, "document.querySelector('details').open = true")
	b.look("log")
	b.press("Verify the log")
	b.says("The log is whole and true.")
	b.look("log-verified")
	if first := value[string](b, "fetch('/log/export').then(r => r.blob()).then(b => b.slice(0, 46).text())"); !strings.HasPrefix(first, "PK\x03\x04") || !strings.Contains(first, "tunesafe-log.txt") {
		t.Errorf("the export begins with %q", first)
	}

	b.visit(value[string](b, "location.origin") + "/kit")
	b.says("Recovery kit")
	b.look("kit-ask")
	b.press("Show the key, to be printed")
	b.await("document.querySelector('.kit .key')")
	key := strings.TrimSpace(h.Run("recovery-key", "show"))
	if shown := value[string](b, "document.querySelector('.kit .key').innerText"); shown != key {
		t.Error("the kit has another key")
	}
	b.look("kit")
	b.press("I have printed it and put it away")
	b.await("document.body?.innerText.includes('You said that a copy of the key is kept elsewhere')")
	if h.Status().Unsaved {
		t.Error("it was not noted that the key is kept")
	}
}
