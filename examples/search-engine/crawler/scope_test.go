package main

import (
	"net/url"
	"strings"
	"testing"
)

func TestResolve(t *testing.T) {
	within, err := parseScope("http://Host.example:80/docs/")
	if err != nil {
		t.Fatal(err)
	}
	page, err := url.Parse("http://host.example/docs/a/b.html?x=1")
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]string{ // "" is not crawled
		"c.html":                               "http://host.example/docs/a/c.html",
		"../c.html#part":                       "http://host.example/docs/c.html",
		"./././c.html?frames=yes":              "http://host.example/docs/a/c.html?frames=yes",
		"#top":                                 "http://host.example/docs/a/b.html?x=1",
		"":                                     "http://host.example/docs/a/b.html?x=1",
		"?":                                    "http://host.example/docs/a/b.html",
		"  \n/docs/c\nd.html\t":                "http://host.example/docs/cd.html",
		"HTTP://HOST.example:80/docs/":         "http://host.example/docs/",
		"//host.example/docs/":                 "http://host.example/docs/",
		"/docs/with space.html":                "http://host.example/docs/with%20space.html",
		"/docs":                                "",
		"../../../../c.html":                   "",
		"http://host.example":                  "",
		"https://host.example/docs/":           "",
		"http://other.example/docs/":           "",
		"http://host.example:81/docs/":         "",
		"http://me@host.example/docs/":         "",
		"mailto:someone@host.example":          "",
		"javascript:show(1)":                   "",
		"http:/docs/%zz":                       "",
		"http:opaque":                          "",
		"/docs/" + strings.Repeat("x", maxURL): "",
	}
	for reference, want := range cases {
		got, ok := within.resolve(page, reference)
		if ok != (want != "") || ok && got != want {
			t.Errorf("resolve(%.60q) = %q, %v; want %q", reference, got, ok, want)
		}
	}
}

func TestParseScopeRefuses(t *testing.T) {
	for _, text := range []string{"", "host", "/docs/", "ftp://host/", "http://host/?q", "http://host/#a", "http://%"} {
		if _, err := parseScope(text); err == nil {
			t.Errorf("parseScope(%q): no error", text)
		}
	}
}

func FuzzResolve(f *testing.F) {
	for _, seed := range []string{"../a.html#b", "//h/x", "?q", "http://h:80/docs/%41", "\x00", "a b"} {
		f.Add(seed)
	}
	within, err := parseScope("http://h/docs/")
	if err != nil {
		f.Fatal(err)
	}
	page, err := url.Parse("http://h/docs/page.html")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, reference string) {
		once, ok := within.resolve(page, reference)
		if !ok {
			return
		}
		if !strings.HasPrefix(once, "http://h/docs/") || strings.Contains(once, "#") {
			t.Fatalf("%q resolves to %q, outside the scope", reference, once)
		}
		// One address has one spelling: resolving it again changes nothing.
		if twice, ok := within.resolve(page, once); !ok || twice != once {
			t.Fatalf("%q resolves to %q, and that to %q, %v", reference, once, twice, ok)
		}
	})
}
