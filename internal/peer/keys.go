package peer

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"sync"
)

const (
	// KeyBytes is the least that a key may be long.
	KeyBytes = 32
	// fileLimit is far above what some keys take.
	fileLimit = 64 << 10
)

// ErrExposed says that others than the file's owner and group may read a key,
// or that others than its owner may write it.
var ErrExposed = errors.New("others may get at the key")

// Keys are the keys of one file, one a line. All are accepted and the first
// signs, so a key is changed without a gap: add the new one as the second line
// everywhere, then make it the first everywhere, then take the old one away.
// A file that was changed is read again by itself. They may be used by several
// goroutines.
type Keys struct {
	path string
	log  *slog.Logger

	mu    sync.Mutex
	seen  fs.FileInfo // of the file as it was looked at last; nil: it wasn't there
	keys  [][]byte
	mayGo bool // that it isn't there is in order
}

// ReadKeys reads the keys of a file. The log is told when a changed file is
// taken or refused; nil for none.
func ReadKeys(path string, log *slog.Logger) (*Keys, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	keys, info, err := readKeys(path)
	if err != nil {
		return nil, fmt.Errorf("read the peers' key: %w", err)
	}
	return &Keys{path: path, log: log, seen: info, keys: keys}, nil
}

func readKeys(path string) (keys [][]byte, info fs.FileInfo, err error) {
	if info, err = os.Stat(path); err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() { // To open a pipe would wait for its other end.
		return nil, nil, fmt.Errorf("%s is not a regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = file.Close() }() // It was only read.
	if info, err = file.Stat(); err != nil {
		return nil, nil, err
	}
	if mode := info.Mode().Perm(); mode&0o027 != 0 {
		return nil, nil, fmt.Errorf("%w: %s has mode %04o: 'chmod 600 %s', or 640 where a group reads it", ErrExposed, path, mode, path)
	}
	text, err := io.ReadAll(io.LimitReader(file, fileLimit+1))
	if err != nil {
		return nil, nil, err
	}
	if len(text) > fileLimit {
		return nil, nil, fmt.Errorf("%s holds more than %d bytes: that is no file of keys", path, fileLimit)
	}
	keys, err = parseKeys(path, text)
	return keys, info, err
}

func parseKeys(path string, text []byte) ([][]byte, error) {
	const how = "make one with 'openssl rand -hex 32'"
	var keys [][]byte
	for i, line := range bytes.Split(text, []byte("\n")) {
		key := bytes.TrimSpace(line)
		switch {
		case len(key) == 0:
		case len(key) < KeyBytes:
			return nil, fmt.Errorf("line %d of %s has %d bytes, and a key has at least %d: %s", i+1, path, len(key), KeyBytes, how)
		default:
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s holds no key: %s", path, how)
	}
	return keys, nil
}

// current are the keys as the file holds them now. One that can't be taken
// leaves the old keys in use, and is told of once.
func (k *Keys) current() [][]byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	info, err := os.Stat(k.path)
	if same(info, k.seen) {
		return k.keys
	}
	// Where the file changes between this look and the reading, it is read once
	// more the next time.
	k.seen = info
	var keys [][]byte
	if err == nil {
		keys, _, err = readKeys(k.path)
	}
	if k.mayGo && errors.Is(err, fs.ErrNotExist) {
		return k.keys
	}
	if err != nil {
		k.log.Error("the peers' keys can't be read again; the old ones stay", "error", err)
		return k.keys
	}
	k.log.Info("the peers' keys were read again", "file", k.path, "keys", len(keys))
	k.keys = keys
	return k.keys
}

// MayGo says that the file is about to be removed with the cell. Its keys are used
// to the end, and that it isn't there is no error from then on. Without keys it does
// nothing.
func (k *Keys) MayGo() {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.mayGo = true
}

func same(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.Mode() == b.Mode() && a.ModTime().Equal(b.ModTime())
}

// Sign returns the authentication code of a text by the first key.
func (k *Keys) Sign(text []byte) string { return code(k.current()[0], text) }

// Signed reports whether the code is that of the text by any of the keys.
func (k *Keys) Signed(text []byte, mac string) bool { return k.signer(text, mac) != nil }

// signer is the key that the text was signed with, or nil.
func (k *Keys) signer(text []byte, mac string) (key []byte) {
	for _, one := range k.current() {
		if hmac.Equal([]byte(code(one, text)), []byte(mac)) {
			key = one
		}
	}
	return key
}

// code is the authentication code in hexadecimal.
func code(key, text []byte) string {
	h := hmac.New(sha256.New, key)
	_, _ = h.Write(text) // A hash takes everything.
	return hex.EncodeToString(h.Sum(nil))
}

// Transport signs what goes through base and takes only answers that are
// signed for it. Without keys it is base itself.
func (k *Keys) Transport(base http.RoundTripper) http.RoundTripper {
	if k == nil {
		return base
	}
	return &transport{keys: k, base: base}
}
