package bundle

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// ErrFolder says that a store is a folder, which no other machine can fetch from.
var ErrFolder = errors.New("the store is a folder, which no other machine can fetch from")

// BlobURL is where in a store a blob can be fetched by a program that knows nothing
// of stores. A bucket must let whoever asks read it, as nothing is signed. A folder
// is ErrFolder.
func BlobURL(address, digest string) (string, error) {
	at, err := policy.ParseStore(address)
	if err != nil {
		return "", fmt.Errorf("the store of bundles %q %w", address, err)
	}
	if err := CheckDigest(digest); err != nil {
		return "", err
	}
	switch {
	case at.Web != nil:
		return at.Web.JoinPath(blobName(digest)).String(), nil
	case at.Bucket != "":
		return bucketURL(at).JoinPath(at.Prefix, blobName(digest)).String(), nil
	}
	return "", fmt.Errorf("%s: %w", address, ErrFolder)
}

// bucketURL is a bucket by its own name where that can be one in a certificate,
// else a part of the path.
func bucketURL(at policy.Store) *url.URL {
	if at.Endpoint != "" {
		if u, err := url.Parse(at.Endpoint); err == nil { // ParseStore has checked it
			return u.JoinPath(at.Bucket)
		}
	}
	host := "s3.amazonaws.com"
	if at.Region != "" {
		host = "s3." + at.Region + ".amazonaws.com"
	}
	if strings.Contains(at.Bucket, ".") {
		return &url.URL{Scheme: "https", Host: host, Path: path.Join("/", at.Bucket)}
	}
	return &url.URL{Scheme: "https", Host: at.Bucket + "." + host, Path: "/"}
}
