package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/search-engine/reach"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// crawlLimit is how long one crawl may take.
const crawlLimit = 20 * time.Minute

// show seeds the crawl and shows what happens until ctx ends.
func (d *demo) show(ctx context.Context) error {
	s := newScreen(os.Stdout, len(d.web.want.Pages))
	if err := d.seed(ctx); err != nil {
		return err
	}
	searching, err := d.search(ctx, 0, 24*time.Hour)
	if err != nil {
		return err
	}
	defer func() { _, _ = searching.end() }() // what became of it was shown
	if err := d.until(ctx, s, crawlLimit, "crawling "+d.web.scope, sight.complete); err != nil {
		return err
	}
	if err := d.exact(ctx); err != nil {
		return err
	}
	s.say("The crawl is complete: what is stored is what is reachable, to the page and the link.")
	s.say("Search it:  curl -L '%s/search?q=fst+automaton'", d.front())
	s.say("Kill any cell and see:  kill -9 PID, with a pid of  ps axu | grep %s", d.place.root)
	if d.cloud != nil {
		for _, b := range d.cloud.births.done() {
			s.say("%s", b)
		}
		s.say("What the machines say is in %s.", filepath.Join(d.cloud.folder, "consoles"))
	}
	return d.until(ctx, s, 1000*time.Hour, "Ctrl-C removes everything", func(sight) bool { return false })
}

// seed gives the search engine the page to begin with.
func (d *demo) seed(ctx context.Context) error {
	body, err := json.Marshal(map[string][]string{"urls": {d.web.start}})
	if err != nil {
		return err
	}
	return testkit.Poll(ctx, time.Minute, func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, d.front()+"/seed", bytes.NewReader(body))
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer func() { _ = response.Body.Close() }()
		if response.StatusCode != http.StatusCreated {
			return fmt.Errorf("seed the crawl: the front answered %s", response.Status)
		}
		return nil
	})
}

// exact holds what is stored against what is reachable in the archive.
func (d *demo) exact(ctx context.Context) error {
	pages, stored, err := d.store.All(ctx)
	if err != nil {
		return err
	}
	links := map[reach.Link]bool{}
	for _, link := range stored {
		links[reach.Link(link)] = true
	}
	for page, status := range d.web.want.Pages {
		if pages[page] != status {
			return fmt.Errorf("the crawl is not exact: %s is to be stored with status %d and has %d", page, status, pages[page])
		}
	}
	for link := range d.web.want.Links {
		if !links[link] {
			return fmt.Errorf("the crawl is not exact: the link from %s to %s is missing", link.From, link.To)
		}
	}
	if len(pages) != len(d.web.want.Pages) || len(links) != len(d.web.want.Links) {
		return fmt.Errorf("the crawl is not exact: %d pages and %d links are stored, %d and %d are reachable",
			len(pages), len(links), len(d.web.want.Pages), len(d.web.want.Links))
	}
	return nil
}
