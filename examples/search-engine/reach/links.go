package reach

import (
	"errors"
	"io"
	"io/fs"
	"net/url"

	"golang.org/x/net/html"
	"golang.org/x/net/html/charset"
)

// linksOf parses one file of HTML as a reader without scripts sees it.
func linksOf(files fs.FS, name string, within, at *url.URL) ([]string, error) {
	file, err := files.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	decoded, err := charset.NewReader(file, "text/html")
	if errors.Is(err, io.EOF) {
		return nil, nil // an empty file
	}
	if err != nil {
		return nil, err
	}
	root, err := html.ParseWithOptions(decoded, html.ParseOptionEnableScripting(false))
	if err != nil {
		return nil, err
	}
	w := walk{}
	w.visit(root)
	base := at
	if len(w.bases) > 0 { // only the first <base> counts
		if b, err := at.Parse(w.bases[0]); err == nil {
			base = b
		}
	}
	var links []string
	for _, reference := range w.references {
		if to, ok := target(within, base, reference); ok {
			links = append(links, to)
		}
	}
	return links, nil
}

// walk collects what a document refers to.
type walk struct{ references, bases []string }

func (w *walk) visit(node *html.Node) {
	for _, attribute := range node.Attr {
		switch node.Data + " " + attribute.Key {
		case "a href", "area href", "frame src", "iframe src":
			w.references = append(w.references, attribute.Val)
		case "base href":
			w.bases = append(w.bases, attribute.Val)
		}
	}
	for child := node.FirstChild; child != nil; child = child.NextSibling {
		w.visit(child)
	}
}
