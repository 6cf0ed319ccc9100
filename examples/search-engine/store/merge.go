package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
)

// Search asks all databases and merges what they answer by rank, a page once. Ranks
// of different databases compare, since they come from the page and the query alone.
// Away is how many did not answer; only where none did is there an error.
func (d *Databases) Search(ctx context.Context, query string, limit int) (hits []Hit, away int, err error) {
	all, err := d.all(ctx)
	if err != nil {
		return nil, 0, err
	}
	var (
		asking sync.WaitGroup
		mu     sync.Mutex
		failed error
	)
	for _, one := range all {
		asking.Go(func() {
			found, err := one.Search(ctx, query, limit)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				away, failed = away+1, fmt.Errorf("%s: %w", one.place.Name, err)
			}
			hits = append(hits, found...)
		})
	}
	asking.Wait()
	if away == len(all) {
		return nil, away, failed
	}
	return mergeHits(hits, limit), away, nil
}

// mergeHits sorts hits of several databases as one would, and leaves each page once.
func mergeHits(hits []Hit, limit int) []Hit {
	slices.SortFunc(hits, func(a, b Hit) int { return cmp.Or(-cmp.Compare(a.Rank, b.Rank), strings.Compare(a.URL, b.URL)) })
	seen := map[string]bool{}
	merged := []Hit{}
	for _, hit := range hits {
		if !seen[hit.URL] && len(merged) < limit {
			seen[hit.URL] = true
			merged = append(merged, hit)
		}
	}
	return merged
}

// Stats counts what all databases have, by address. It reads every address, which is
// what exactness costs, and fails while one of them is away.
func (d *Databases) Stats(ctx context.Context) (Stats, error) {
	all, err := d.all(ctx)
	if err != nil {
		return Stats{}, err
	}
	var streams []*stream
	defer func() {
		for _, s := range streams {
			s.rows.Close()
		}
	}()
	for _, one := range all {
		rows, err := one.addresses(ctx)
		if err != nil {
			return Stats{}, fmt.Errorf("%s: %w", one.place.Name, err)
		}
		s := &stream{rows: rows}
		streams = append(streams, s)
		if err := s.next(); err != nil {
			return Stats{}, fmt.Errorf("%s: %w", one.place.Name, err)
		}
	}
	return count(streams)
}

// stream is one database's addresses, and the one that it is at.
type stream struct {
	rows pgx.Rows
	at   address
	over bool
}

func (s *stream) next() error {
	if !s.rows.Next() {
		s.over = true
		return s.rows.Err()
	}
	return s.rows.Scan(&s.at.url, &s.at.known, &s.at.queued, &s.at.stored, &s.at.links)
}

// count goes through sorted streams side by side and counts each address once. It is
// queued when all that know it have it queued: one that doesn't will do it again.
func count(streams []*stream) (Stats, error) {
	var total Stats
	for {
		var least *string
		for _, s := range streams {
			if !s.over && (least == nil || s.at.url < *least) {
				least = &s.at.url
			}
		}
		if least == nil {
			return total, nil
		}
		one := address{url: *least, queued: true}
		for _, s := range streams {
			if s.over || s.at.url != one.url {
				continue
			}
			one.known = one.known || s.at.known
			one.queued = one.queued && (s.at.queued || !s.at.known)
			one.stored = one.stored || s.at.stored
			one.links = max(one.links, s.at.links)
			if err := s.next(); err != nil {
				return Stats{}, fmt.Errorf("count what is stored: %w", err)
			}
		}
		total.add(one)
	}
}

func (t *Stats) add(one address) {
	if one.stored {
		t.Pages++
		t.Links += one.links
	}
	if one.known {
		t.Known++
		if one.queued {
			t.Queued++
		}
		if one.stored {
			t.Stored++
		}
	}
}

// All returns every page's status by URL, and every link, each once.
func (d *Databases) All(ctx context.Context) (map[string]int, []Link, error) {
	var mu sync.Mutex
	pages, seen := map[string]int{}, map[Link]bool{}
	err := d.each(ctx, func(ctx context.Context, one *Store) error {
		own, links, err := one.All(ctx)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		for url, status := range own {
			pages[url] = status
		}
		for _, link := range links {
			seen[link] = true
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	links := make([]Link, 0, len(seen))
	for link := range seen {
		links = append(links, link)
	}
	return pages, links, nil
}
