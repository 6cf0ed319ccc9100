package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// place holds objects by name. What it returns as missing is fs.ErrNotExist; what
// may be over at the next try is a *passingError; all else is there to stay.
type place interface {
	// open opens an object at an offset, or at its beginning where the place
	// can't begin anywhere else.
	open(ctx context.Context, name string, offset int64) (*piece, error)
	// size is how long an object is, -1 where the place doesn't say.
	size(ctx context.Context, name string) (int64, error)
	// put puts an object there, whole or not at all.
	put(ctx context.Context, name string, size int64, from io.Reader) error
	// rest lets go of connections that nobody uses.
	rest()
	// address names the place so that it can be opened in another environment.
	address() string
	String() string
}

// piece is an object from an offset on.
type piece struct {
	io.ReadCloser
	offset int64
	total  int64 // the object's size; -1 where the place doesn't say
}

// The names of objects, in every place.
func manifestName(digest string) string { return path.Join("bundles", digest+".json") }
func blobName(digest string) string     { return path.Join("blobs", digest) }

// newPlace makes what is known of the place that a policy names; nothing is
// reached yet.
func newPlace(address string) (place, error) {
	at, err := policy.ParseStore(address)
	if err != nil {
		return nil, fmt.Errorf("it %w", err)
	}
	switch {
	case at.Web != nil:
		return newWeb(at.Web), nil
	case at.Bucket != "":
		return newBucket(at)
	}
	return newFolder(at.Folder)
}

// ErrReadOnly says that nothing can be put into a store.
var ErrReadOnly = errors.New("nothing can be put there by https")

// passingError is a failure that may be over when it is tried again.
type passingError struct{ error }

func (e *passingError) Unwrap() error { return e.error }

// passing marks an error as one that may pass.
func passing(err error) error { return &passingError{err} }
