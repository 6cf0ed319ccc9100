package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/renameio/v2"
)

// TestStateLockLeftBehind kills the leader, and then only Terraform, in the
// middle of an apply. The state lies where a lock outlives its holder, so it is
// left behind: it is broken, as it matches the note of a dead apply. A lock that
// a person holds is told of and never broken.
func TestStateLockLeftBehind(t *testing.T) {
	h := faulty(t, houseOptions{})
	store := newStore(t, filepath.Join(h.dir, "bucket"))
	h.write("bucket/made", "")
	h.state = filepath.Join(store.dir, "pod.tfstate")
	h.rewrite("pod/main.tf", func(text string) string { return store.backend() + text })
	h.apply()
	h.settled(1, patience)
	h.succeed("pin", "pod", "2")
	h.settled(2, patience)

	h.cutApply("3", func() { h.killCell(h.leader()) })
	h.hears("breaking the state lock that a dead apply left", "by=")
	h.settled(3, patience)

	h.cutApply("4", func() {
		terraform := kill{house: h, victim: "terraform"}
		h.kill(terraform.awaited())
	})
	h.settled(4, patience)
	if broken := h.logLines("breaking the state lock that a dead apply left"); len(broken) < 1 {
		t.Errorf("broken: %v", broken)
	}

	answer := h.asksToDestroy()
	held := store.lock(t)
	h.succeed("pin", "pod", "5")
	h.hears("Terraform's state is locked", "it is left alone", "so a person or a pipeline holds it")
	if now := store.lock(t); now != held {
		t.Errorf("the person's lock is another: %s, was %s", now, held)
	}
	answer("no")
	h.settled(5, patience)
}

// cutApply orders n cells, strikes while a cell is being born, and checks that
// the lock is left behind.
func (h *house) cutApply(n string, strike func()) {
	h.t.Helper()
	h.write("fault", "hold")
	h.succeed("pin", "pod", n)
	h.newborn()
	strike()
	if _, err := os.Stat(h.state + ".tflock"); err != nil {
		h.t.Fatalf("no lock was left, so this shows nothing: %v", err)
	}
	h.remove("fault")
}

// store is as much of S3 as Terraform's backend needs: objects that lie as files
// in one directory, where a file that must not be there yet can be made by one
// only.
type store struct {
	*httptest.Server
	dir string
	mu  sync.Mutex
}

func newStore(t *testing.T, dir string) *store {
	s := &store{dir: dir}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *store) backend() string {
	return fmt.Sprintf(`
terraform {
  backend "s3" {
    bucket       = "states"
    key          = "pod.tfstate"
    region       = "eu-north-1"
    access_key   = "nobody"
    secret_key   = "nothing"
    use_lockfile = true
    endpoints    = { s3 = %q }

    use_path_style              = true
    skip_credentials_validation = true
    skip_metadata_api_check     = true
    skip_region_validation      = true
    skip_requesting_account_id  = true
    skip_s3_checksum            = true
  }
}
`, s.URL)
}

// lock is what the lock says of its holder.
func (s *store) lock(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, "pod.tfstate.tflock"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// ServeHTTP implements http.Handler.
func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if key == "" {
		_, _ = w.Write([]byte(`<ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>`))
		return
	}
	path := filepath.Join(s.dir, filepath.Base(key))
	_, missing := os.Stat(path)
	switch {
	case r.Method == http.MethodPut && r.Header.Get("If-None-Match") == "*" && missing == nil:
		refuse(w, http.StatusPreconditionFailed, "PreconditionFailed")
	case r.Method == http.MethodPut:
		s.put(w, r, path)
	case errors.Is(missing, fs.ErrNotExist):
		refuse(w, http.StatusNotFound, "NoSuchKey")
	case r.Method == http.MethodDelete:
		if err := os.Remove(path); err != nil {
			refuse(w, http.StatusInternalServerError, err.Error())
			return
		}
		w.WriteHeader(http.StatusNoContent)
	default:
		http.ServeFile(w, r, path)
	}
}

// put writes an object whole or not at all, however its sender ends.
func (s *store) put(w http.ResponseWriter, r *http.Request, path string) {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = renameio.WriteFile(path, body, 0o644)
	}
	if err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
	}
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", code, code)
}
