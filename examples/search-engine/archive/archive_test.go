package archive

import (
	"archive/zip"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var tree = map[string]string{
	"index.html":     "<p>home",
	"dir/index.html": "<p>dir",
	"dir/Page.HTM":   "<p>page",
	"style.css":      "p{}",
	"data.xyz":       "<html>not a page",
}

func folder(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range tree {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func jar(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "web.jar")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	writer := zip.NewWriter(file)
	for name, content := range tree {
		entry, err := writer.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(entry, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestHandler(t *testing.T) {
	cases := []struct {
		method, path string
		status       int
		contentType  string
		body         string // or, of a redirect, where it leads
	}{
		{"GET", "/", 200, "text/html", "<p>home"},
		{"GET", "/index.html?frames", 200, "text/html", "<p>home"},
		{"HEAD", "/", 200, "text/html", ""},
		{"GET", "/dir/", 200, "text/html", "<p>dir"},
		{"GET", "/dir?x=1", 301, "", "/dir/?x=1"},
		{"GET", "/dir/Page.HTM", 200, "text/html", "<p>page"},
		{"GET", "/style.css", 200, "text/css", "p{}"},
		{"GET", "/data.xyz", 200, "application/octet-stream", "<html>not a page"},
		{"GET", "/gone.html", 404, "", ""},
		{"GET", "/dir//Page.HTM", 404, "", ""},
		{"GET", "/dir/../../../etc/passwd", 404, "", ""},
		{"GET", "/%2e%2e/etc/passwd", 404, "", ""},
		{"POST", "/", 405, "", ""},
	}
	for kind, path := range map[string]string{"folder": folder(t), "jar": jar(t)} {
		files, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = files.Close() }()
		handler := Handler(files, slog.New(slog.DiscardHandler))
		for _, c := range cases {
			t.Run(kind+" "+c.method+" "+c.path, func(t *testing.T) {
				response := httptest.NewRecorder()
				handler.ServeHTTP(response, httptest.NewRequest(c.method, c.path, nil))
				body := response.Body.String()
				if c.status == http.StatusMovedPermanently {
					body = response.Header().Get("Location")
				}
				if response.Code != c.status {
					t.Errorf("status = %d, want %d", response.Code, c.status)
				}
				if got := response.Header().Get("Content-Type"); c.contentType != "" && got != c.contentType {
					t.Errorf("content type = %q, want %q", got, c.contentType)
				}
				if (c.status == 200 || c.status == 301) && body != c.body {
					t.Errorf("body = %q, want %q", body, c.body)
				}
			})
		}
	}
}

func TestOpenNamesWhatIsWrong(t *testing.T) {
	text := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(text, []byte("no archive"), 0o644); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"/nowhere.jar": "no such file", text: "as .jar or .zip"} {
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open(%s) = %v, want %q in it", path, err, want)
		}
	}
}
