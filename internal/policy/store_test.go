package policy

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseStore(t *testing.T) {
	web := func(text string) Store {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return Store{Web: u}
	}
	for text, want := range map[string]Store{
		"":                              {},
		"bundles":                       {Folder: "bundles"},
		"/mnt/share/bundles":            {Folder: "/mnt/share/bundles"},
		"https://store.example.com":     web("https://store.example.com"),
		"https://store.example.com/a/b": web("https://store.example.com/a/b"),
		"http://localhost:8080/a":       web("http://localhost:8080/a"),
		"http://127.0.0.1/a":            web("http://127.0.0.1/a"),
		"http://[::1]:80/a":             web("http://[::1]:80/a"),
		"http://10.1.2.3/a":             web("http://10.1.2.3/a"),
		"http://[fd00::1]/a":            web("http://[fd00::1]/a"),
		"s3://bucket":                   {Bucket: "bucket"},
		"s3://bucket/a/b/":              {Bucket: "bucket", Prefix: "a/b"},
		"s3://bucket/a?endpoint=https://minio.example.com:9000&region=eu-west-1": {
			Bucket: "bucket", Prefix: "a", Endpoint: "https://minio.example.com:9000", Region: "eu-west-1"},
	} {
		got, err := ParseStore(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q:\n%s", text, diff)
		}
	}
	for text, want := range map[string]string{
		"http://8.8.8.8/a":                    "over http",
		"http://169.254.169.254/a":            "over http",
		"http://internal/a":                   "over http",
		"https://store.example.com/#x":        "behind #",
		"https://":                            "no host",
		"s3://b":                              "names the bucket",
		"s3://bucket/../x":                    `"." or ".."`,
		"s3://bucket?endpoint=http://8.8.8.8": "over http",
		"s3://bucket?region=EU":               "has the region",
		"s3://bucket?key=AKIA":                `has "key" behind the ?`,
		"s3://bucket?region=a&region=b":       `has "region" behind the ?`,
		"file:///tmp":                         "names no host",
		"://":                                 "is no URL",
	} {
		if _, err := ParseStore(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q gave %v, want %q", text, err, want)
		}
	}
	if _, err := ParseStore("https://me:secret@store.example.com"); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a password gave %v", err)
	}
}
