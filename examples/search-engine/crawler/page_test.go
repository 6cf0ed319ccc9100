package main

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func parseText(t *testing.T, body string) *document {
	t.Helper()
	within, err := parseScope("http://h/")
	if err != nil {
		t.Fatal(err)
	}
	at, err := url.Parse("http://h/dir/page.html")
	if err != nil {
		t.Fatal(err)
	}
	d, err := parse([]byte(body), "text/html", at, within)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestParse(t *testing.T) {
	cases := map[string]struct {
		body  string
		title string
		text  string
		links []string
	}{
		"empty": {},
		"a page": {
			body:  "<title>One\n two</title><h1>Head</h1><p>some <b>bold</b> text<script>no()</script><style>no{}</style>",
			title: "One two", text: "Head some bold text ",
		},
		"kinds of links": {
			body: `<a href=a.html>x</a><a name=no>y</a><link rel=stylesheet href=no.css>
			       <map><area href=b.html></map><img src=no.png><iframe src=c.html></iframe>`,
			text: "x y ", links: []string{"http://h/dir/a.html", "http://h/dir/b.html", "http://h/dir/c.html"},
		},
		"frames": {
			body:  `<frameset><frame src="a.html"><noframes><a href="no.html">no</a></noframes></frameset>`,
			links: []string{"http://h/dir/a.html"},
		},
		"noscript": {
			body: `<body><noscript><a href="a.html">x</a></noscript>`,
			text: "x ", links: []string{"http://h/dir/a.html"},
		},
		"base, wherever it stands": {
			body: `<a href="a.html">x</a><base href="/other/"><base href="/no/">`,
			text: "x ", links: []string{"http://h/other/a.html"},
		},
		"entities":             {body: `<a href="a.html?x=1&amp;y=2">&lt;</a>`, text: "< ", links: []string{"http://h/dir/a.html?x=1&y=2"}},
		"a title in a drawing": {body: `<title>Page</title><svg><title>Drawing</title></svg>`, title: "Page"},
		"another encoding":     {body: "<meta charset=iso-8859-1><p>\xe9t\xe9", text: "été "},
		"broken":               {body: `<a href="a.html"><table><a href='b.html'></a></p>`, links: []string{"http://h/dir/a.html", "http://h/dir/b.html"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := parseText(t, c.body)
			if d.title != c.title {
				t.Errorf("title = %q, want %q", d.title, c.title)
			}
			if got := d.text.String(); got != c.text {
				t.Errorf("text = %q, want %q", got, c.text)
			}
			seen := map[string]bool{}
			for _, link := range d.links {
				seen[link] = true
			}
			want := map[string]bool{}
			for _, link := range c.links {
				want[link] = true
			}
			if diff := cmp.Diff(want, seen); diff != "" {
				t.Errorf("links (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`<a href="x">`))
	f.Add([]byte("<meta charset=utf-16><a href=x"))
	f.Add([]byte(strings.Repeat("<b>", 600)))
	within, err := parseScope("http://h/")
	if err != nil {
		f.Fatal(err)
	}
	at, err := url.Parse("http://h/dir/page.html")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		d, err := parse(body, "text/html", at, within)
		if err != nil {
			return
		}
		for _, link := range d.links {
			if !strings.HasPrefix(link, "http://h/") {
				t.Fatalf("link %q is outside the scope", link)
			}
		}
	})
}
