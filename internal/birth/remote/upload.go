package remote

import (
	"context"
	_ "embed" // the script
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

//go:embed receive.sh
var receiveScript string

var (
	// ErrDiskFull says that the machine's disk took no more.
	ErrDiskFull = errors.New("the machine's disk is full")
	// ErrDigest says that content isn't what its digest says, at its source.
	ErrDigest = errors.New("content has another digest than its name")
)

// Open returns the content of a blob. Where what it returns is an io.Seeker, an
// upload that goes on where it was cut doesn't read what the machine has.
type Open func(sha256 string) (io.ReadCloser, error)

// Upload brings blobs to the machine. Each gets its name there only after its
// digest was found right on the machine. Where an upload was cut, the next one
// goes on at the byte the machine has; only the blobs below 64 KiB, of which
// many go in one piece, are brought again. progress is called with the bytes
// that the machine has or were sent, often and from one goroutine.
func (m *Machine) Upload(ctx context.Context, blobs []Blob, open Open, progress func(sent, total int64)) error {
	if err := checkBlobs(blobs); err != nil {
		return err
	}
	todo := unique(blobs)
	u := &upload{open: open, progress: progress}
	for _, b := range todo {
		u.total += b.Size
	}
	// What a cut left may be of something else. It is thrown away by the
	// machine, and brought again; so is what another upload of the same spoilt.
	for range 3 {
		bad, err := u.run(ctx, m, todo)
		if err != nil || len(bad) == 0 {
			return m.failed(ctx, "upload", err)
		}
		todo = bad
	}
	names := make([]string, len(todo))
	for i, b := range todo {
		names[i] = b.SHA256
	}
	return m.failed(ctx, "upload", fmt.Errorf("%w: %s", ErrDigest, strings.Join(names, ", ")))
}

// upload is one call of Upload.
type upload struct {
	open        Open
	progress    func(sent, total int64)
	sent, total int64
}

func (u *upload) advance(n int64) {
	u.sent += n
	if u.progress != nil {
		u.progress(u.sent, u.total)
	}
}

// run makes one pass over blobs and returns those whose digest wasn't right.
func (u *upload) run(ctx context.Context, m *Machine, blobs []Blob) ([]Blob, error) {
	defer m.bound(ctx)()
	p, err := m.start(ctx, m.asRoot(digestScript+receiveScript, blobsDirectory))
	if err != nil {
		return nil, err
	}
	defer p.close()
	r := newReceiver(p)
	defer r.stop()
	there, err := r.listing()
	if err != nil {
		return nil, err
	}
	sendErr := u.send(p, blobs, there)
	if sendErr == nil {
		sendErr = p.CloseWrite()
	}
	if sendErr != nil && !errors.Is(sendErr, io.EOF) {
		// It lies with the source, or the connection is gone; the machine would
		// wait for what doesn't come.
		p.close()
	}
	// What the machine says is the cause of what was met here.
	if err := r.wait(); err != nil && (sendErr == nil || errors.Is(sendErr, io.EOF)) {
		return nil, err
	}
	if sendErr != nil {
		return nil, sendErr
	}
	return r.judge(blobs)
}

// send writes what the machine doesn't have, largest first: so the last ones to
// be checked there are the ones soonest done.
func (u *upload) send(w io.Writer, blobs []Blob, there map[string]int64) error {
	large := largestFirst(blobs)
	first := slices.IndexFunc(large, func(b Blob) bool { return b.Size < smallBlob })
	var small []Blob
	if first >= 0 {
		large, small = large[:first], large[first:]
	}
	buffer := make([]byte, 256<<10)
	for _, b := range large {
		if err := u.sendBlob(w, b, there[b.SHA256], buffer); err != nil {
			return err
		}
	}
	return u.sendPacks(w, small)
}

// sendBlob writes one blob from where the machine's part of it ends.
func (u *upload) sendBlob(w io.Writer, b Blob, offset int64, buffer []byte) error {
	if offset > b.Size {
		if _, err := fmt.Fprintf(w, "drop %s\n", b.SHA256); err != nil {
			return err
		}
		offset = 0
	}
	content, err := u.openAt(b, offset)
	if err != nil {
		return err
	}
	defer content.Close()
	if _, err := fmt.Fprintf(w, "blob %s %d %d %d\n", b.SHA256, offset, b.Size-offset, b.Size); err != nil {
		return err
	}
	u.advance(offset)
	for left := b.Size - offset; left > 0; {
		n, err := io.ReadFull(content, buffer[:min(left, int64(len(buffer)))])
		if err != nil {
			return fmt.Errorf("read blob %s, %d bytes before its end: %w", b.SHA256, left, noEOF(err))
		}
		if _, err := w.Write(buffer[:n]); err != nil {
			return err
		}
		left -= int64(n)
		u.advance(int64(n))
	}
	return nil
}

// openAt opens a blob and passes over what the machine has.
func (u *upload) openAt(b Blob, offset int64) (io.ReadCloser, error) {
	content, err := u.open(b.SHA256)
	if err != nil {
		return nil, fmt.Errorf("open blob %s: %w", b.SHA256, noEOF(err))
	}
	if seeker, ok := content.(io.Seeker); ok {
		_, err = seeker.Seek(offset, io.SeekStart)
	} else {
		_, err = io.CopyN(io.Discard, content, offset)
	}
	if err != nil {
		content.Close()
		return nil, fmt.Errorf("read blob %s from byte %d: %w", b.SHA256, offset, noEOF(err))
	}
	return content, nil
}

// noEOF keeps the end of a source apart from that of the connection.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("it is shorter than it should be")
	}
	return err
}
