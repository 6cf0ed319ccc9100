package bundle

import (
	"errors"
	"strings"
	"testing"
)

func TestBlobURL(t *testing.T) {
	digest := strings.Repeat("0a", 32)
	for address, want := range map[string]string{
		"https://h/bundles":               "https://h/bundles/blobs/",
		"https://h/bundles/":              "https://h/bundles/blobs/",
		"s3://genes":                      "https://genes.s3.amazonaws.com/blobs/",
		"s3://genes/a/b?region=eu-west-1": "https://genes.s3.eu-west-1.amazonaws.com/a/b/blobs/",
		"s3://my.genes/a?region=x":        "https://s3.x.amazonaws.com/my.genes/a/blobs/",
		"s3://genes/a?endpoint=http://10.0.0.1:4566&region=x": "http://10.0.0.1:4566/genes/a/blobs/",
	} {
		if got, err := BlobURL(address, digest); err != nil || got != want+digest {
			t.Errorf("%s: %s, %v", address, got, err)
		}
	}
	if _, err := BlobURL("/srv/bundles", digest); !errors.Is(err, ErrFolder) {
		t.Errorf("a folder gave %v", err)
	}
	for _, wrong := range [][2]string{{"ftp://h/x", digest}, {"https://h", "../x"}} {
		if _, err := BlobURL(wrong[0], wrong[1]); err == nil {
			t.Errorf("%q was taken", wrong)
		}
	}
}

// What is published names a store so that it can be opened elsewhere.
func TestStoreAddress(t *testing.T) {
	amazonEnvironment(t, "http://127.0.0.1:4566")
	t.Setenv("AWS_REGION", "eu-central-1")
	for address, want := range map[string]string{
		"https://h/bundles":   "https://h/bundles",
		"/srv/bundles":        "/srv/bundles",
		"s3://genes/a/":       "s3://genes/a?endpoint=http%3A%2F%2F127.0.0.1%3A4566&region=eu-central-1",
		"s3://genes?region=x": "s3://genes?endpoint=http%3A%2F%2F127.0.0.1%3A4566&region=x",
		"s3://genes?endpoint=https://s3.amazonaws.com": "s3://genes?region=eu-central-1",
	} {
		s := open(t, address)
		if got := s.Address(); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}
