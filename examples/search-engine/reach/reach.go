// Package reach counts what a crawl of an archive must store, without a crawl:
// it reads the files and follows their links itself, with no HTTP and none of
// the crawler's code, so that the two can be held against each other.
//
// Both keep to the same rules. A link is the href of <a> and <area> and the src
// of <frame> and <iframe>, resolved against the page (or its <base>), without
// its fragment. It counts when it has the scheme and host of the scope, a path
// that begins with the scope's, no user name and at most 2,000 bytes. A folder
// is its index.html; without the trailing slash it is a redirect (301), which
// is a link to the address with one. What doesn't exist is stored as 404, and
// a file that is not .html or .htm is stored without links.
package reach

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"strings"
)

// maxURL is the longest address that counts, in bytes.
const maxURL = 2000

// Link is one link from a page to another address within the scope.
type Link struct{ From, To string }

// Web is what a complete crawl has stored.
type Web struct {
	Pages map[string]int // address -> HTTP status
	Links map[Link]bool
}

// Count follows the links of the files from the seeds. The scope is an address
// such as http://127.0.0.1:8080/docs/: the root of the files is its host's root,
// and only what begins with its path belongs to the web.
func Count(files fs.FS, scope string, seeds ...string) (*Web, error) {
	within, err := url.Parse(scope)
	if err != nil {
		return nil, fmt.Errorf("parse scope: %w", err)
	}
	web := &Web{Pages: map[string]int{}, Links: map[Link]bool{}}
	var todo []string
	for _, seed := range seeds {
		to, ok := target(within, within, seed)
		if !ok {
			return nil, fmt.Errorf("seed %q is outside the scope %s", seed, scope)
		}
		todo = append(todo, to)
	}
	for len(todo) > 0 {
		page := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if _, seen := web.Pages[page]; seen {
			continue
		}
		status, links, err := visit(files, within, page)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", page, err)
		}
		web.Pages[page] = status
		for _, to := range links {
			web.Links[Link{page, to}] = true
			todo = append(todo, to)
		}
	}
	return web, nil
}

// visit says what the page at an address is and where it leads.
func visit(files fs.FS, within *url.URL, page string) (int, []string, error) {
	at, err := url.Parse(page)
	if err != nil {
		return 0, nil, err
	}
	name := strings.TrimPrefix(at.Path, "/")
	if name == "" || strings.HasSuffix(name, "/") {
		name += "index.html"
	}
	info, err := fs.Stat(files, name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return 404, nil, nil
	}
	if err != nil {
		return 0, nil, err
	}
	if info.IsDir() {
		slash := url.URL{Path: at.Path + "/", RawQuery: at.RawQuery}
		if to, ok := target(within, at, slash.String()); ok {
			return 301, []string{to}, nil
		}
		return 301, nil, nil
	}
	if ext := strings.ToLower(path.Ext(name)); ext != ".html" && ext != ".htm" {
		return 200, nil, nil
	}
	links, err := linksOf(files, name, within, at)
	return 200, links, err
}

// target gives the address that a reference on a page leads to, and whether it
// belongs to the web.
func target(within, base *url.URL, reference string) (string, bool) {
	reference = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(strings.TrimSpace(reference))
	ref, err := url.Parse(reference)
	if err != nil {
		return "", false
	}
	to := base.ResolveReference(ref)
	if to.User != nil || to.Scheme != within.Scheme || host(to) != host(within) {
		return "", false
	}
	route := to.EscapedPath()
	if route == "" {
		route = "/"
	}
	if !strings.HasPrefix(route, within.EscapedPath()) {
		return "", false
	}
	address := to.Scheme + "://" + host(to) + route
	if to.RawQuery != "" {
		address += "?" + to.RawQuery
	}
	return address, len(address) <= maxURL
}

// host gives a host in small letters, with its port unless that is the usual one.
func host(u *url.URL) string {
	name, port := strings.ToLower(u.Host), u.Port()
	if (u.Scheme == "http" && port == "80") || (u.Scheme == "https" && port == "443") {
		return strings.TrimSuffix(name, ":"+port)
	}
	return name
}
