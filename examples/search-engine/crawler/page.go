package main

import (
	"bytes"
	"fmt"
	"net/url"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
	"golang.org/x/net/html/charset"
)

// document is what analysing a page of HTML yields.
type document struct {
	title string
	text  strings.Builder
	links []string

	within scope
	base   *url.URL // what references are relative to
	based  bool     // a <base> was seen; only the first counts
}

// parse analyses the HTML of the page at an address.
func parse(body []byte, contentType string, at *url.URL, within scope) (*document, error) {
	d := &document{within: within, base: at}
	if len(body) == 0 {
		return d, nil
	}
	decoded, err := charset.NewReader(bytes.NewReader(body), contentType)
	if err != nil {
		return nil, fmt.Errorf("find the encoding: %w", err)
	}
	// As a reader without scripts, who sees what <noscript> holds.
	root, err := html.ParseWithOptions(decoded, html.ParseOptionEnableScripting(false))
	if err != nil {
		return nil, fmt.Errorf("parse HTML: %w", err)
	}
	var references []string
	for node := range root.Descendants() {
		switch node.Type {
		case html.TextNode:
			d.addText(node)
		case html.ElementNode:
			if reference, ok := d.reference(node, at); ok {
				references = append(references, reference)
			}
		}
	}
	for _, reference := range references {
		if to, ok := within.resolve(d.base, reference); ok {
			d.links = append(d.links, to)
		}
	}
	return d, nil
}

// reference gives where an element leads. A <base> leads nowhere, but says what
// the others are relative to.
func (d *document) reference(node *html.Node, at *url.URL) (string, bool) {
	switch node.DataAtom {
	case atom.A, atom.Area:
		return attribute(node, "href")
	case atom.Frame, atom.Iframe:
		return attribute(node, "src")
	case atom.Base:
		if href, ok := attribute(node, "href"); ok && !d.based {
			if base, err := at.Parse(href); err == nil {
				d.base, d.based = base, true
			}
		}
	}
	return "", false
}

func attribute(node *html.Node, name string) (string, bool) {
	for _, a := range node.Attr {
		if a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

func (d *document) addText(node *html.Node) {
	text := strings.Join(strings.Fields(node.Data), " ")
	if text == "" || node.Parent == nil {
		return
	}
	switch node.Parent.DataAtom {
	case atom.Script, atom.Style, atom.Iframe, atom.Noembed, atom.Noframes:
	case atom.Title:
		if d.title == "" {
			d.title = text
		}
	default:
		d.text.WriteString(text)
		d.text.WriteByte(' ')
	}
}
