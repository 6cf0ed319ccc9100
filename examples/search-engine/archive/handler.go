package archive

import (
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
)

// contentTypes is a table of our own, since the machine's differs from one
// system to the next and decides what a crawler takes for a page.
var contentTypes = map[string]string{
	".html": "text/html",
	".htm":  "text/html",
	".css":  "text/css",
	".js":   "text/javascript",
	".txt":  "text/plain",
	".md":   "text/plain",
	".svg":  "image/svg+xml",
	".png":  "image/png",
	".gif":  "image/gif",
}

// Handler serves the tree. A folder is its index.html; without the trailing
// slash it is a redirect to the address with one. Files stream, so a large
// archive costs no memory.
func Handler(files fs.FS, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
			return
		}
		name := strings.TrimPrefix(r.URL.Path, "/")
		if name == "" || strings.HasSuffix(name, "/") {
			name += "index.html"
		}
		if err := serve(w, r, files, name); err != nil {
			log.Warn("a page was cut short", "path", r.URL.Path, "error", err)
		}
	})
}

func serve(w http.ResponseWriter, r *http.Request, files fs.FS, name string) error {
	file, err := files.Open(name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		http.NotFound(w, r)
		return nil
	}
	if err != nil {
		http.Error(w, "cannot open the file", http.StatusInternalServerError)
		return err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		http.Error(w, "cannot read the file", http.StatusInternalServerError)
		return err
	}
	if info.IsDir() {
		target := url.URL{Path: "/" + name + "/", RawQuery: r.URL.RawQuery}
		http.Redirect(w, r, target.String(), http.StatusMovedPermanently)
		return nil
	}
	contentType, known := contentTypes[strings.ToLower(path.Ext(name))]
	if !known {
		contentType = "application/octet-stream"
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Length", strconv.FormatInt(info.Size(), 10))
	if r.Method == http.MethodHead {
		return nil
	}
	_, err = io.Copy(w, file)
	return err
}
