package bundle

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// amazonEnvironment is what S3's clients take from the environment, and nothing of
// this machine's own.
func amazonEnvironment(t *testing.T, endpoint string) {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	t.Setenv("AWS_REGION", "eu-central-1")
	t.Setenv("AWS_ENDPOINT_URL_S3", "")
	t.Setenv("AWS_ENDPOINT_URL", endpoint)
}

func TestBucket(t *testing.T) {
	leavesNothing(t)
	if testing.Short() {
		t.Skip("starts a server")
	}
	fast(t)
	s3 := testkit.S3(t)
	amazonEnvironment(t, "http://127.0.0.1:1")
	must(t, s3.MakeBucket(t.Context(), "genes"))
	store := open(t, "s3://genes/some/where/?region=us-east-1&endpoint="+s3.URL())
	src := lay(t, time.Now())
	large := bytes.Repeat([]byte("0123456789abcdef"), 20<<16) // two parts of an upload
	must(t, os.WriteFile(filepath.Join(filepath.Dir(src.Genome), "bin/plain"), large, 0o644))
	b := build(t, src)
	if _, err := store.Manifest(t.Context(), b.Digest()); !errors.Is(err, ErrNoBundle) {
		t.Errorf("a bundle that isn't there gave %v", err)
	}
	done, err := store.Put(t.Context(), b)
	must(t, err)
	if done.New != done.Files || done.Files != len(b.Blobs()) {
		t.Errorf("stored %+v", done)
	}
	if done, err = store.Put(t.Context(), b); err != nil || done.New != 0 {
		t.Errorf("stored again %+v, %v", done, err)
	}
	m, err := store.Manifest(t.Context(), b.Digest())
	must(t, err)
	if m.Digest() != b.Digest() {
		t.Errorf("read back %s", m.Digest())
	}
	at := cache(t.TempDir())
	big := digestText(large)
	must(t, os.MkdirAll(filepath.Join(string(at), "blobs"), 0o755))
	must(t, os.WriteFile(at.part(big), large[:5<<20], 0o644))
	c, err := store.Fetch(t.Context(), b.Digest(), string(at))
	must(t, err)
	whole(t, c, b)

	// The endpoint from the environment.
	amazonEnvironment(t, s3.URL())
	c, err = open(t, "s3://genes/some/where").Fetch(t.Context(), b.Digest(), t.TempDir())
	must(t, err)
	whole(t, c, b)
	bucketFaults(t, s3, store, b)
}

func bucketFaults(t *testing.T, s3 *testkit.S3Server, store *Store, b *Bundle) {
	t.Helper()
	_, err := open(t, "s3://nowhere/some").Fetch(t.Context(), b.Digest(), t.TempDir())
	says(t, err, "bucket does not exist", "fetch bundle "+b.Digest()+" from s3://nowhere/some")
	place, ok := store.place.(*bucket)
	if !ok {
		t.Fatalf("it is a %T", store.place)
	}
	blob := blobName(b.Manifest.Tree[0].SHA256)
	spoil := func(text string) {
		_, err := place.core.Client.PutObject(t.Context(), "genes", "some/where/"+blob, strings.NewReader(text), int64(len(text)), minio.PutObjectOptions{})
		must(t, err)
	}
	spoil("# a potato")
	_, err = store.Fetch(t.Context(), b.Digest(), t.TempDir())
	says(t, err, "the tree's file homeostat.hcl", ErrChanged.Error(), "remove it there and publish again")
	spoil("cut")
	_, err = store.Manifest(t.Context(), b.Digest())
	says(t, err, "isn't whole", "it has 3 bytes of 10")
	if done, err := store.Put(t.Context(), b); err != nil || done.New != 1 {
		t.Errorf("what was cut short was not stored again: %+v, %v", done, err)
	}
	must(t, place.core.Client.RemoveObject(t.Context(), "genes", "some/where/"+blob, minio.RemoveObjectOptions{}))
	_, err = store.Fetch(t.Context(), b.Digest(), t.TempDir())
	says(t, err, "the tree's file homeostat.hcl", "publish it again")

	must(t, s3.Stop())
	_, err = store.Fetch(t.Context(), b.Digest(), t.TempDir())
	says(t, err, "connection refused", "try again when the store is well")
}

// A file that changes while it is put into a bucket isn't there under the digest of
// what it was.
func TestBucketFileChangesMeanwhile(t *testing.T) {
	leavesNothing(t)
	if testing.Short() {
		t.Skip("starts a server")
	}
	s3 := testkit.S3(t)
	amazonEnvironment(t, s3.URL())
	must(t, s3.MakeBucket(t.Context(), "genes"))
	store := open(t, "s3://genes")
	src := lay(t, time.Now())
	b := build(t, src)
	must(t, os.WriteFile(filepath.Join(src.Module, "main.tf"), []byte("# a rude module"), 0o644)) // of the same size
	_, err := store.Put(t.Context(), b)
	if !errors.Is(err, ErrChanged) {
		t.Errorf("it gave %v", err)
	}
	for _, f := range b.Manifest.Tree {
		size, err := store.place.size(t.Context(), blobName(f.SHA256))
		if f.Path == "pod/main.tf" && err == nil {
			t.Errorf("%d bytes of what it was not are there", size)
		}
	}
	store.place.rest()
}

func TestBucketEnvironment(t *testing.T) {
	amazonEnvironment(t, "http://s3.example.com")
	_, err := OpenStore("s3://genes")
	says(t, err, "the environment goes over http")
	amazonEnvironment(t, "")
	store := open(t, "s3://genes/prefix")
	at, ok := store.place.(*bucket)
	if !ok || at.core.EndpointURL().Host != "s3.amazonaws.com" || at.core.EndpointURL().Scheme != "https" || store.String() != "s3://genes/prefix" {
		t.Errorf("it is %s", store)
	}
	if http.DefaultTransport == http.RoundTripper(at.transport) {
		t.Error("it shares its transport")
	}
}
