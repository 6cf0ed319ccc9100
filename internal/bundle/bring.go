package bundle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/wait"
)

// want is an object to be brought into the cache.
type want struct {
	what   string // in words
	name   string // in the store
	digest string
	size   int64 // -1 where nobody told
	most   int64 // bytes that it may have
}

const (
	// tries is how often in a row an object is asked for without getting on.
	tries = 4
	// gettingOn is how many bytes more are no failure, though the line was cut.
	gettingOn = 1 << 20
)

// firstPause is the pause after a first failure; a variable for tests.
var firstPause = 500 * time.Millisecond

var errTooLong = errors.New("it is longer than it may be")

// brokenError says that a store has something else than what was asked for.
type brokenError struct{ error }

func (e *brokenError) Unwrap() error { return e.error }

// bring brings an object into the cache unless it is there.
func (f *fetcher) bring(ctx context.Context, w want) error {
	if f.cache.holds(w.digest) {
		return nil
	}
	pace := backoff.NewExponentialBackOff()
	pace.InitialInterval, pace.MaxInterval = firstPause, 20*firstPause
	for failed := 1; ; failed++ {
		before := f.cache.came(w.digest)
		err := f.try(ctx, w)
		var may *passingError
		if err != nil && ctx.Err() != nil {
			err = ctx.Err()
		}
		if err == nil {
			return nil
		}
		if f.cache.came(w.digest) >= before+gettingOn {
			failed = 0
			pace.Reset()
		}
		if !errors.As(err, &may) || failed == tries {
			return fmt.Errorf("%s (%s): %w", w.what, w.digest[:12], err)
		}
		if err := wait.For(ctx, pace.NextBackOff()); err != nil {
			return fmt.Errorf("%s (%s): %w", w.what, w.digest[:12], err)
		}
	}
}

// try asks for an object once, or for what is missing of it, and gives it its name
// when it is what the digest names.
func (f *fetcher) try(ctx context.Context, w want) (err error) {
	p, err := f.cache.openPart(w)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.file.Close()) }()
	began := p.came
	if p.came == 0 || p.came != w.size {
		if began, err = f.more(ctx, w, p); err != nil {
			return err
		}
	}
	if hex.EncodeToString(p.sum.Sum(nil)) == w.digest {
		return f.cache.keep(w.digest, p.file)
	}
	if err := p.clear(); err != nil {
		return err
	}
	err = &brokenError{ErrChanged}
	if began > 0 { // it may be the part of an earlier try that is wrong
		return passing(err)
	}
	return err
}

// more gets what is missing. It returns how much was there before.
func (f *fetcher) more(ctx context.Context, w want, p *partFile) (began int64, err error) {
	ctx, watch := watchFlow(ctx)
	defer watch.stop()
	from, err := f.place.open(ctx, w.name, p.came)
	if err != nil {
		return 0, watch.reason(err)
	}
	defer func() { _ = from.Close() }()
	if w.size >= 0 && from.total >= 0 && from.total != w.size {
		return 0, &brokenError{fmt.Errorf("it has %d bytes in the store and must have %d", from.total, w.size)}
	}
	if from.offset != p.came {
		if err := p.clear(); err != nil {
			return 0, err
		}
	}
	began = p.came
	if _, err := io.Copy(p, io.LimitReader(watch.reader(from), w.most-p.came+1)); err != nil {
		return began, err
	}
	switch {
	case p.came > w.most:
		return began, errors.Join(&brokenError{fmt.Errorf("%w: %d bytes", errTooLong, w.most)}, p.clear())
	case p.came < w.size || from.total > p.came:
		return began, passing(fmt.Errorf("it ended after %d bytes of %d", p.came, max(w.size, from.total)))
	}
	return began, nil
}

// partFile is what came of an object so far, and the digest of that.
type partFile struct {
	file *os.File
	sum  hash.Hash
	came int64
}

// openPart opens what came of an object so far.
func (c cache) openPart(w want) (*partFile, error) {
	f, err := os.OpenFile(c.part(w.digest), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o644)
	if err != nil {
		return nil, err
	}
	p := &partFile{file: f, sum: sha256.New()}
	if p.came, err = io.Copy(p.sum, f); err == nil && p.came > w.most {
		err = p.clear()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return p, nil
}

// Write implements io.Writer.
func (p *partFile) Write(b []byte) (int, error) {
	n, err := p.file.Write(b)
	p.sum.Write(b[:n])
	p.came += int64(n)
	return n, err
}

// clear begins from the beginning.
func (p *partFile) clear() error {
	p.sum.Reset()
	p.came = 0
	if _, err := p.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return p.file.Truncate(0)
}
