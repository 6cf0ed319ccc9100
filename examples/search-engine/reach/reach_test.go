package reach

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// web makes a tree of files from names and contents.
func web(files map[string]string) fstest.MapFS {
	tree := fstest.MapFS{}
	for name, content := range files {
		tree[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return tree
}

func TestCount(t *testing.T) {
	files := web(map[string]string{
		"index.html":        `<a href="docs/">outside the scope, but no page of it either</a>`,
		"docs/index.html":   `<a href="a.html#x">1</a><a href="a.html?frames">2</a><a href="sub">3</a><a href="../index.html">out</a>`,
		"docs/a.html":       `<base href="/docs/sub/"><a href="b.html">4</a><a href="mailto:x@y">no</a><a href="#self">5</a>`,
		"docs/sub/b.html":   `<noscript><a href="../notes.txt">6</a></noscript><a href="gone.html">7</a><a href="../a.html">8</a>`,
		"docs/notes.txt":    `<a href="never.html">`,
		"docs/island.html":  `nobody links here`,
		"docs/empty.html":   ``,
		"docs/sub/data.bin": ``,
	})
	const at = "http://h/docs/"
	got, err := Count(files, at, at+"index.html", at+"empty.html")
	if err != nil {
		t.Fatal(err)
	}
	want := &Web{
		Pages: map[string]int{
			at + "index.html":    200,
			at + "a.html":        200,
			at + "a.html?frames": 200,
			at + "sub":           301,
			at + "sub/":          404, // a folder without index.html
			at + "sub/b.html":    200,
			at + "notes.txt":     200,
			at + "sub/gone.html": 404,
			at + "empty.html":    200,
		},
		Links: map[Link]bool{
			{at + "index.html", at + "a.html"}:        true,
			{at + "index.html", at + "a.html?frames"}: true,
			{at + "index.html", at + "sub"}:           true,
			{at + "sub", at + "sub/"}:                 true,
			{at + "a.html", at + "sub/b.html"}:        true,
			{at + "a.html", at + "sub/"}:              true, // "#self" is relative to the <base>
			{at + "a.html?frames", at + "sub/b.html"}: true,
			{at + "a.html?frames", at + "sub/"}:       true,
			{at + "sub/b.html", at + "notes.txt"}:     true,
			{at + "sub/b.html", at + "sub/gone.html"}: true,
			{at + "sub/b.html", at + "a.html"}:        true,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCountRefusesSeedsOutsideTheScope(t *testing.T) {
	_, err := Count(web(nil), "http://h/docs/", "http://h/other/")
	if err == nil || !strings.Contains(err.Error(), "outside the scope") {
		t.Errorf("Count = %v", err)
	}
}
