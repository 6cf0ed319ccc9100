package main

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// maxURL is the longest URL that is crawled, in bytes.
const maxURL = 2000

// scope bounds the crawl to the addresses that begin with one.
type scope struct{ *url.URL }

// parseScope reads an address such as http://127.0.0.1:8080/docs/.
func parseScope(text string) (scope, error) {
	if text == "" {
		return scope{}, errors.New("no scope: set -scope to the address that every crawled page begins with")
	}
	u, err := url.Parse(text)
	if err != nil {
		return scope{}, fmt.Errorf("read -scope: %w", err)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return scope{}, fmt.Errorf("read -scope: %q is not an http or https address without query and fragment", text)
	}
	normalise(u)
	return scope{u}, nil
}

// resolve gives the one spelling of the address that a reference on a page
// leads to, and whether that is to be crawled.
func (s scope) resolve(page *url.URL, reference string) (string, bool) {
	// As browsers do: white space around, tabs and line ends within don't count.
	reference = strings.TrimSpace(reference)
	reference = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(reference)
	u, err := page.Parse(reference)
	if err != nil || u.Opaque != "" || u.User != nil {
		return "", false
	}
	normalise(u)
	text := u.String()
	return text, s.contains(u) && len(text) <= maxURL
}

// address reads a normalised address of the crawl; a message may be anything.
func (s scope) address(text string) (*url.URL, bool) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, false
	}
	normalise(u)
	return u, s.contains(u)
}

// contains says whether a normalised address belongs to the crawl.
func (s scope) contains(u *url.URL) bool {
	return u.Scheme == s.Scheme && u.Host == s.Host && strings.HasPrefix(u.EscapedPath(), s.EscapedPath())
}

// normalise drops what makes two spellings of one address: the fragment, the
// case of the host, the default port, an empty path or query.
func normalise(u *url.URL) {
	u.Fragment, u.RawFragment, u.ForceQuery = "", "", false
	u.Host = strings.ToLower(u.Host)
	switch {
	case u.Scheme == "http":
		u.Host = strings.TrimSuffix(u.Host, ":80")
	case u.Scheme == "https":
		u.Host = strings.TrimSuffix(u.Host, ":443")
	}
	if u.Path == "" {
		u.Path = "/"
	}
}
