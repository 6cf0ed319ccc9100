package bundle

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// webStore serves a folder below /b and lets a test answer instead: meddle returns
// whether it did.
func webStore(t *testing.T, dir string, meddle func(w http.ResponseWriter, r *http.Request) bool) *Store {
	t.Helper()
	files := http.StripPrefix("/b/", http.FileServerFS(os.DirFS(dir)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if meddle == nil || !meddle(w, r) {
			files.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return open(t, server.URL+"/b/")
}

func TestWeb(t *testing.T) {
	leavesNothing(t)
	dir, b := stored(t)
	var mu sync.Mutex
	asked := map[string]int{}
	store := webStore(t, dir, func(_ http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		asked[r.Method]++
		if packed := r.Header.Get("Accept-Encoding"); packed != "" {
			t.Errorf("%s was asked for packed: %q", r.URL, packed)
		}
		return false
	})
	m, err := store.Manifest(t.Context(), b.Digest())
	must(t, err)
	if m.Digest() != b.Digest() || asked[http.MethodHead] != len(b.Blobs())-1 {
		t.Errorf("got %s after %v", m.Digest(), asked)
	}
	clear(asked)
	cacheDir := t.TempDir()
	for range 2 {
		c, err := store.Fetch(t.Context(), b.Digest(), cacheDir)
		must(t, err)
		whole(t, c, b)
	}
	if asked[http.MethodGet] != len(b.Blobs())+1 || len(asked) != 1 {
		t.Errorf("two fetches of %d blobs and a manifest asked %v", len(b.Blobs()), asked)
	}
	if _, err := store.Put(t.Context(), b); err != nil {
		says(t, err, ErrReadOnly.Error())
	}
	if !store.ReadOnly() || open(t, dir).ReadOnly() {
		t.Error("who can be written to?")
	}
	must(t, os.Remove(filepath.Join(dir, blobName(b.Genome.Files[0].SHA256))))
	_, err = store.Manifest(t.Context(), b.Digest())
	says(t, err, "isn't whole", "the genome's file /etc/app.conf", "404 Not Found")
	_, err = store.Manifest(t.Context(), strings.Repeat("0", 64))
	if !errors.Is(err, ErrNoBundle) {
		t.Errorf("a bundle that isn't there gave %v", err)
	}
}

// A line that is cut again and again is taken up where it was cut.
func TestWebResumes(t *testing.T) {
	leavesNothing(t)
	fast(t)
	src := lay(t, time.Now())
	must(t, os.WriteFile(filepath.Join(filepath.Dir(src.Genome), "bin/app"), bytes.Repeat([]byte("0123456789abcdef"), 1<<19), 0o755))
	b := build(t, src)
	dir := t.TempDir()
	_, err := open(t, dir).Put(t.Context(), b)
	must(t, err)
	large := blobName(b.Genome.Files[1].SHA256)
	for _, ranges := range []bool{true, false} {
		var sent atomic.Int64
		store := webStore(t, dir, func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, large) {
				return false
			}
			if !ranges {
				r.Header.Del("Range")
				if sent.Load() > 3<<20 {
					return false
				}
			}
			http.ServeFile(&cut{ResponseWriter: w, left: 3 << 20, sent: &sent}, r, filepath.Join(dir, large))
			return true
		})
		c, err := store.Fetch(t.Context(), b.Digest(), t.TempDir())
		must(t, err)
		whole(t, c, b)
		if n := sent.Load(); ranges && n > 9<<20 {
			t.Errorf("with ranges %d bytes of 8 MiB were sent", n)
		}
	}
}

// cut is a line that breaks after some bytes.
type cut struct {
	http.ResponseWriter
	left int64
	sent *atomic.Int64
}

func (c *cut) Write(p []byte) (int, error) {
	if c.left <= 0 {
		panic(http.ErrAbortHandler)
	}
	p = p[:min(int64(len(p)), c.left)]
	c.left -= int64(len(p))
	c.sent.Add(int64(len(p)))
	return c.ResponseWriter.Write(p)
}

func TestWebFaults(t *testing.T) {
	leavesNothing(t)
	elsewhere := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(elsewhere.Close)
	for _, c := range []struct {
		name string
		// meddle answers for the manifest, or for the blob of the tree's first file.
		manifest, blob func(w http.ResponseWriter, r *http.Request)
		want           []string
		slow           bool
		tries          int // 1 where a second would be of no use
	}{
		{name: "redirects elsewhere", manifest: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusFound)
		}, want: []string{"it sends us elsewhere, to " + elsewhere.URL, "name that in the policy"}, tries: 1},
		{name: "redirects in a circle", blob: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
		}, want: []string{"elsewhere, again and again"}, tries: 4},
		{name: "forbidden", blob: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) },
			want: []string{"403 Forbidden"}, tries: 1},
		{name: "gone", blob: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) },
			want: []string{"410 Gone", "publish it again"}, tries: 1},
		{name: "unwell", blob: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
			want: []string{"502 Bad Gateway", "try again when the store is well"}, tries: tries},
		{name: "packed", blob: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = io.Copy(z, io.LimitReader(zeros{}, 64<<20))
			_ = z.Close()
		}, want: []string{"sent packed (gzip)", "send files as they lie there"}, tries: 1},
		{name: "endless manifest", manifest: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.Copy(w, zeros{}) },
			want: []string{"longer than it may be: 8388608 bytes"}, tries: 1},
		{name: "endless blob", blob: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.Copy(w, zeros{}) },
			want: []string{"longer than it may be: 10 bytes"}, tries: 1},
		{name: "another size", blob: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "short") },
			want: []string{"it has 5 bytes in the store and must have 10", "remove it there and publish again"}, tries: 1},
		{name: "another content", blob: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "# a potato") },
			want: []string{ErrChanged.Error(), "remove it there and publish again"}, tries: 1},
		{name: "an end too early", blob: func(w http.ResponseWriter, _ *http.Request) {
			flush(w) // so that no length is told
			_, _ = io.WriteString(w, "x")
		}, want: []string{"ended after 1 bytes of 10", "what came is kept"}, tries: tries},
		{name: "another range", blob: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes 7-9/10")
			w.WriteHeader(http.StatusPartialContent)
		}, want: []string{"it begins at byte 7, and 0 was asked for"}, tries: 1},
		{name: "nothing comes", blob: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
			want: []string{errSlow.Error(), "try again when the store is well"}, slow: true, tries: tries},
		{name: "a byte now and then", manifest: func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, "x")
				flush(w)
				time.Sleep(20 * time.Millisecond)
			}
		}, want: []string{errSlow.Error()}, slow: true, tries: tries},
		{name: "endless headers", blob: func(w http.ResponseWriter, _ *http.Request) {
			for i := range 2000 {
				w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("x", 100))
			}
		}, want: []string{"header"}, tries: tries},
	} {
		t.Run(c.name, func(t *testing.T) {
			fast(t)
			dir, b := stored(t)
			name, answer := manifestName(b.Digest()), c.manifest
			if answer == nil {
				name, answer = blobName(b.Manifest.Tree[0].SHA256), c.blob
			}
			var asked, well atomic.Int64
			store := webStore(t, dir, func(w http.ResponseWriter, r *http.Request) bool {
				if well.Load() == 1 || !strings.HasSuffix(r.URL.Path, name) {
					return false
				}
				asked.Add(1)
				answer(w, r)
				return true
			})
			cacheDir := t.TempDir()
			patient := func() {}
			if c.slow {
				patient = impatient()
			}
			_, err := store.Fetch(t.Context(), b.Digest(), cacheDir)
			patient()
			says(t, err, append(c.want, "fetch bundle "+b.Digest()+" from "+store.String())...)
			if n := asked.Load(); n != int64(c.tries) {
				t.Errorf("it was asked for %d times, want %d", n, c.tries)
			}
			well.Store(1)
			got, err := store.Fetch(t.Context(), b.Digest(), cacheDir)
			must(t, err)
			whole(t, got, b)
		})
	}
}

// flush sends what was written.
func flush(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// What can't be reached, can't be trusted, or is called off ends soon, and says so.
func TestWebUnreachable(t *testing.T) {
	leavesNothing(t)
	fast(t)
	_, b := stored(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, l.Close())
	_, err = open(t, "http://"+l.Addr().String()).Fetch(t.Context(), b.Digest(), t.TempDir())
	says(t, err, "connection refused", "try again when the store is well")

	untrusted := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(untrusted.Close)
	untrusted.Config.ErrorLog = nil
	_, err = open(t, untrusted.URL).Fetch(t.Context(), b.Digest(), t.TempDir())
	says(t, err, "failed to verify certificate")

	ctx, cancel := context.WithCancel(t.Context())
	store := webStore(t, t.TempDir(), func(_ http.ResponseWriter, r *http.Request) bool {
		cancel()
		<-r.Context().Done()
		return true
	})
	_, err = store.Fetch(ctx, b.Digest(), t.TempDir())
	if !errors.Is(err, context.Canceled) {
		t.Errorf("called off, it gave %v", err)
	}
}

// A trusted server by https.
func TestWebTLS(t *testing.T) {
	leavesNothing(t)
	dir, b := stored(t)
	server := httptest.NewTLSServer(http.FileServerFS(os.DirFS(dir)))
	t.Cleanup(server.Close)
	store := open(t, server.URL)
	at, ok := store.place.(*web)
	if !ok {
		t.Fatalf("it is a %T", store.place)
	}
	transport, ok := at.client.Transport.(*http.Transport)
	if !ok {
		t.Fatalf("it goes by a %T", at.client.Transport)
	}
	transport.TLSClientConfig.RootCAs = x509.NewCertPool()
	transport.TLSClientConfig.RootCAs.AddCert(server.Certificate())
	c, err := store.Fetch(t.Context(), b.Digest(), t.TempDir())
	must(t, err)
	whole(t, c, b)
}
