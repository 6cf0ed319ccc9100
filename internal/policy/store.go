package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Store is where bundles are kept: a folder, a web server, or a bucket of S3.
type Store struct {
	// Folder is a path, which may be relative to the policy; empty for the others.
	Folder string
	// Web is the URL below which a web server serves such a folder; nil for the
	// others.
	Web *url.URL
	// Bucket is one of S3; empty for the others. Prefix is what the names of its
	// objects begin with, without a slash at its end.
	Bucket, Prefix string
	// Endpoint, a URL without a path, and Region say which S3; where they are
	// empty the environment does.
	Endpoint, Region string
}

var (
	bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	regionName = regexp.MustCompile(`^[a-z0-9-]+$`)
)

// ParseStore reads the text of bundle. The error goes on from the text's name: it
// says what is wrong with it and what to write.
func ParseStore(text string) (Store, error) {
	if !strings.Contains(text, "://") {
		return Store{Folder: text}, nil
	}
	u, err := url.Parse(text)
	if err != nil {
		return Store{}, fmt.Errorf("is no URL: %w", errors.Unwrap(err)) // the rest repeats the text
	}
	switch {
	case u.User != nil:
		return Store{}, errors.New("has a user or a password in it, which would be copied with every bundle. " +
			"Leave it out: a web server lets cells in by where they are, and S3's keys come from the environment")
	case u.Host == "":
		return Store{}, errors.New("names no host or bucket. Write https://host/path or s3://bucket/prefix")
	case u.Fragment != "":
		return Store{}, errors.New("has a part behind #. Leave it out")
	}
	switch u.Scheme {
	case "http", "https":
		return webStore(u)
	case "s3":
		return bucketStore(u)
	}
	return Store{}, fmt.Errorf("is kept by %q, which this version doesn't know. Write a directory, https://host/path or s3://bucket/prefix", u.Scheme)
}

func webStore(u *url.URL) (Store, error) {
	if u.RawQuery != "" {
		return Store{}, errors.New("has a part behind ?, where the names of files are to follow. Leave it out")
	}
	if err := CheckTransport(u); err != nil {
		return Store{}, err
	}
	return Store{Web: u}, nil
}

func bucketStore(u *url.URL) (Store, error) {
	s := Store{Bucket: u.Host, Prefix: strings.Trim(u.Path, "/")}
	if !bucketName.MatchString(s.Bucket) {
		return Store{}, fmt.Errorf("names the bucket %q: a bucket has 3 to 63 of a-z, 0-9, - and a dot. Write s3://bucket/prefix", s.Bucket)
	}
	if slices.ContainsFunc(strings.Split(s.Prefix, "/"), func(part string) bool { return part == "." || part == ".." }) {
		return Store{}, errors.New(`has "." or ".." in its prefix, which S3 takes as they are. Leave them out`)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Store{}, fmt.Errorf("can't be read behind the ?: %w", err)
	}
	for key, values := range query {
		if key != "endpoint" && key != "region" || len(values) > 1 {
			return Store{}, fmt.Errorf("has %q behind the ?. Only one endpoint and one region may stand there", key)
		}
	}
	s.Endpoint, s.Region = query.Get("endpoint"), query.Get("region")
	if s.Region != "" && !regionName.MatchString(s.Region) {
		return Store{}, fmt.Errorf("has the region %q, which is none", s.Region)
	}
	if s.Endpoint == "" {
		return s, nil
	}
	return s, CheckEndpoint(s.Endpoint)
}

// CheckEndpoint returns an error unless text is the URL of a server of S3. It goes
// on from the text's name, as that of ParseStore does.
func CheckEndpoint(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return errors.New("has an endpoint of S3 that isn't https://host or https://host:port")
	}
	return CheckTransport(u)
}

// CheckTransport returns an error unless a URL's transport is good enough for
// bundles. What is fetched is known by its digest, so nobody on the way can change
// it; without TLS they could read it, the policy and root module included. So http
// is for this machine and for addresses of private networks. A name isn't enough:
// it may lead elsewhere tomorrow.
func CheckTransport(u *url.URL) error {
	if u.Scheme == "https" || u.Hostname() == "localhost" {
		return nil
	}
	if at, err := netip.ParseAddr(u.Hostname()); err == nil && (at.Unmap().IsLoopback() || at.Unmap().IsPrivate()) {
		return nil
	}
	return errors.New("goes over http, where everybody on the way can read policy and root module. " +
		"Write https; http may be used with localhost and with addresses of private networks, such as 10.0.0.1")
}
