package bundle

import (
	"context"
	"fmt"
	"io"
	"io/fs"
)

// Load returns a bundle whose content lies in a cache already, each of it
// verified, and lays its tree out there. It fetches nothing: what is missing is
// an error.
func Load(ctx context.Context, digest, cacheFolder string) (*Cached, error) {
	s := &Store{place: nowhere{}}
	return s.Fetch(ctx, digest, cacheFolder)
}

// nowhere is a place that holds nothing.
type nowhere struct{}

func (nowhere) open(context.Context, string, int64) (*piece, error) { return nil, errNowhere }
func (nowhere) size(context.Context, string) (int64, error)         { return 0, errNowhere }
func (nowhere) put(context.Context, string, int64, io.Reader) error { return errNowhere }
func (nowhere) rest()                                               {}
func (nowhere) address() string                                     { return "" }
func (nowhere) String() string                                      { return "what was brought here" }

var errNowhere = fmt.Errorf("it was not brought here: %w", fs.ErrNotExist)
