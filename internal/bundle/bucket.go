package bundle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// bucket is a place in S3, or in what speaks its protocol.
type bucket struct {
	core           minio.Core
	transport      *http.Transport
	bucket, prefix string
	query          url.Values // which S3, as far as it isn't what all take
}

// amazon is where S3 is, unless something else is named.
const amazon = "https://s3.amazonaws.com"

// newBucket takes what the policy leaves out from where Amazon's own programs take
// it: the environment, the file of credentials, the role of the machine.
func newBucket(at policy.Store) (*bucket, error) {
	endpoint := at.Endpoint
	if endpoint == "" {
		endpoint = cmp.Or(os.Getenv("AWS_ENDPOINT_URL_S3"), os.Getenv("AWS_ENDPOINT_URL"), amazon)
		if err := policy.CheckEndpoint(endpoint); err != nil {
			return nil, fmt.Errorf("the environment %w", err)
		}
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, err
	}
	b := &bucket{transport: newTransport(), bucket: at.Bucket, prefix: at.Prefix, query: url.Values{}}
	if endpoint != amazon {
		b.query.Set("endpoint", endpoint)
	}
	region := cmp.Or(at.Region, os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"))
	if region != "" {
		b.query.Set("region", region)
	}
	client, err := minio.New(u.Host, &minio.Options{
		Creds: credentials.NewChainCredentials([]credentials.Provider{
			&credentials.EnvAWS{}, &credentials.FileAWSCredentials{},
			&credentials.IAM{Client: &http.Client{Timeout: 5 * time.Second}},
		}),
		Secure:     u.Scheme == "https",
		Region:     region,
		Transport:  b.transport,
		MaxRetries: 1, // who asks tries again
	})
	if err != nil {
		return nil, err
	}
	b.core = minio.Core{Client: client}
	return b, nil
}

func (b *bucket) String() string { return "s3://" + path.Join(b.bucket, b.prefix) }

func (b *bucket) address() string {
	if len(b.query) == 0 {
		return b.String()
	}
	return b.String() + "?" + b.query.Encode()
}

func (b *bucket) rest() { b.transport.CloseIdleConnections() }

func (b *bucket) name(name string) string { return path.Join(b.prefix, name) }

func (b *bucket) open(ctx context.Context, name string, offset int64) (*piece, error) {
	var options minio.GetObjectOptions
	if offset > 0 {
		options.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	body, info, header, err := b.core.GetObject(ctx, b.bucket, b.name(name), options)
	if err != nil {
		if offset > 0 && minio.ToErrorResponse(err).StatusCode == http.StatusRequestedRangeNotSatisfiable {
			return b.open(ctx, name, 0)
		}
		return nil, b.failed("get", name, err)
	}
	if packed := header.Get("Content-Encoding"); packed != "" && packed != "identity" {
		_ = body.Close()
		return nil, fmt.Errorf("get %s: it is kept packed (%s): remove it there and publish again", b.name(name), packed)
	}
	if header.Get("Content-Range") == "" {
		offset = 0
	}
	return &piece{ReadCloser: body, offset: offset, total: offset + info.Size}, nil
}

func (b *bucket) size(ctx context.Context, name string) (int64, error) {
	info, err := b.core.StatObject(ctx, b.bucket, b.name(name), minio.StatObjectOptions{})
	if err != nil {
		return 0, b.failed("look for", name, err)
	}
	return info.Size, nil
}

// put puts an object there. One that is cut short is never seen: S3 knows the size
// before the content, and a large one appears when all of its parts are there.
func (b *bucket) put(ctx context.Context, name string, size int64, from io.Reader) error {
	_, err := b.core.Client.PutObject(ctx, b.bucket, b.name(name), from, size, minio.PutObjectOptions{ContentType: "application/octet-stream"})
	if err != nil {
		return b.failed("put", name, err)
	}
	return nil
}

// failed says what a failure is about and whether it may pass.
func (b *bucket) failed(what, name string, err error) error {
	at := b.core.EndpointURL()
	wrapped := fmt.Errorf("%s %s at %s: %w", what, b.name(name), at.Host, err)
	answer := minio.ToErrorResponse(err)
	switch {
	case errors.Is(err, ErrChanged):
		return wrapped
	case answer.Code == minio.NoSuchKey:
		return fmt.Errorf("%w: %w", wrapped, fs.ErrNotExist)
	case answer.StatusCode == 0 || answer.StatusCode >= 500 || answer.StatusCode == http.StatusTooManyRequests:
		return passing(wrapped)
	}
	return wrapped
}
