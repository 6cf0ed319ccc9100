package reach

import (
	"errors"
	"io"
	"io/fs"
	"net/url"

	"golang.org/x/net/html"
	"golang.org/x/net/html/charset"
)

// linksOf reads one file of HTML token by token.
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
	base, based := at, false
	var references []string
	tokens := html.NewTokenizer(decoded)
	for {
		switch tokens.Next() {
		case html.ErrorToken:
			if err := tokens.Err(); !errors.Is(err, io.EOF) {
				return nil, err
			}
			return resolve(references, within, base), nil
		case html.StartTagToken, html.SelfClosingTagToken:
			token := tokens.Token()
			reference, ok := referenceOf(token)
			switch {
			case !ok:
			case token.Data != "base":
				references = append(references, reference)
			case !based: // only the first <base> counts
				if b, err := at.Parse(reference); err == nil {
					base, based = b, true
				}
			}
		}
	}
}

func resolve(references []string, within, base *url.URL) []string {
	var links []string
	for _, reference := range references {
		if to, ok := target(within, base, reference); ok {
			links = append(links, to)
		}
	}
	return links
}

// referenceOf gives the attribute of a tag that leads somewhere.
func referenceOf(token html.Token) (string, bool) {
	var name string
	switch token.Data {
	case "a", "area", "base":
		name = "href"
	case "frame", "iframe":
		name = "src"
	}
	for _, attribute := range token.Attr {
		if attribute.Key == name && name != "" {
			return attribute.Val, true
		}
	}
	return "", false
}
