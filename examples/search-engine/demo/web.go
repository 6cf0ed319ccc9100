package main

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/search-engine/archive"
	"github.com/homeostat-io/terraform-provider-homeostat/examples/search-engine/reach"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// The web that is crawled when none is named: the documentation of Lucene, a
// search engine's, 2,332 pages. The check crawls one part of it.
const (
	javadoc    = "org.apache.lucene:lucene-core:9.11.1:jar:javadoc"
	javadocJar = "lucene-core-9.11.1-javadoc.jar"
	checkStart = "org/apache/lucene/util/package-summary.html"
)

// web serves the pages, and knows what a complete crawl of them is.
type web struct {
	scope string // the address that every page of the crawl begins with
	start string // the page to begin with
	want  *reach.Web
	files *archive.Archive
	http  *http.Server
}

// serveWeb opens the archive, counts what is reachable in it, and serves it.
func serveWeb(ctx context.Context, o options, host string) (*web, error) {
	source, start := o.web, o.start
	if source == "" {
		var err error
		if source, err = fetchJavadoc(ctx); err != nil {
			return nil, err
		}
		if o.check && start == "" {
			start = checkStart
		}
	}
	if start == "" {
		start = "index.html"
	}
	files, err := archive.Open(source)
	if err != nil {
		return nil, err
	}
	if _, err := fs.Stat(files, start); err != nil {
		return nil, fmt.Errorf("%s has no page %s; name another with -start: %w", source, start, err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, fmt.Errorf("serve the web: %w", err)
	}
	root := "http://" + listener.Addr().String() + "/"
	w := &web{start: root + start, scope: root, files: files}
	if folder := path.Dir(start); folder != "." {
		w.scope = root + folder + "/"
	}
	if w.want, err = reach.Count(files, w.scope, w.start); err != nil {
		return nil, err
	}
	w.http = &http.Server{Handler: archive.Handler(files, slog.New(slog.DiscardHandler)), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = w.http.Serve(listener) }() // ends with close
	return w, nil
}

func (w *web) close() error {
	if err := w.http.Close(); err != nil {
		return fmt.Errorf("stop serving the web: %w", err)
	}
	return w.files.Close()
}

// fetchJavadoc gets the default web through Maven, once, into the cache.
func fetchJavadoc(ctx context.Context) (string, error) {
	cache, err := testkit.CacheDirectory()
	if err != nil {
		return "", err
	}
	jar := filepath.Join(cache, javadocJar)
	if _, err := os.Stat(jar); err == nil {
		return jar, nil
	}
	fmt.Println("Fetching the documentation of Lucene, 7 MB, once.")
	arriving, err := os.MkdirTemp(cache, ".javadoc-")
	if err != nil {
		return "", fmt.Errorf("fetch %s: %w", javadoc, err)
	}
	defer func() { _ = os.RemoveAll(arriving) }()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "mvn", "--batch-mode", "--quiet",
		"org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy",
		"-Dartifact="+javadoc, "-DoutputDirectory="+arriving)
	command.Dir = arriving
	if output, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("fetch %s with Maven (or name another web with WEB=path): %w\n%s", javadoc, err, output)
	}
	// Renamed when it is whole, so that a fetch cut short leaves no half of it.
	if err := os.Rename(filepath.Join(arriving, javadocJar), jar); err != nil {
		return "", fmt.Errorf("keep %s: %w", javadoc, err)
	}
	return jar, nil
}
