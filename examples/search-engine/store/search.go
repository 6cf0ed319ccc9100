package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Hit is a page that fits a query.
type Hit struct {
	URL   string  `json:"url"`
	Title string  `json:"title"`
	Rank  float32 `json:"rank"`
}

// Search returns up to limit pages for a query as people type them, best first.
func (s *Store) Search(ctx context.Context, query string, limit int) ([]Hit, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT url, title, ts_rank_cd(words, query) AS rank
		FROM pages, websearch_to_tsquery('english', $1) AS query
		WHERE words @@ query
		ORDER BY rank DESC, url
		LIMIT $2`, storable(query), limit)
	if err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	hits, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Hit])
	if err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	return hits, nil
}

// Stats counts what is stored.
type Stats struct {
	Pages  int64 `json:"pages"`
	Links  int64 `json:"links"`
	Known  int64 `json:"known"`  // URLs
	Queued int64 `json:"queued"` // of those: acknowledged by the queue
	Stored int64 `json:"stored"` // of those: with a page
}

// address is what a database has of one address.
type address struct {
	url                   string
	known, queued, stored bool
	links                 int64
}

// addresses are all that a database knows or has stored, sorted by their bytes.
func (s *Store) addresses(ctx context.Context) (pgx.Rows, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT url, urls.url IS NOT NULL, queued_at IS NOT NULL, pages.url IS NOT NULL,
		       (SELECT count(*) FROM links WHERE from_url = pages.url)
		FROM urls FULL JOIN pages USING (url)
		ORDER BY url COLLATE "C"`)
	if err != nil {
		return nil, fmt.Errorf("count what is stored: %w", err)
	}
	return rows, nil
}

// Link is one stored link.
type Link struct{ From, To string }

// All returns every page's status by URL, and every link.
func (s *Store) All(ctx context.Context) (map[string]int, []Link, error) {
	rows, err := s.pool.Query(ctx, "SELECT url, status FROM pages")
	if err != nil {
		return nil, nil, fmt.Errorf("read pages: %w", err)
	}
	pages := map[string]int{}
	var url string
	var status int
	if _, err := pgx.ForEachRow(rows, []any{&url, &status}, func() error {
		pages[url] = status
		return nil
	}); err != nil {
		return nil, nil, fmt.Errorf("read pages: %w", err)
	}
	rows, err = s.pool.Query(ctx, "SELECT from_url, to_url FROM links")
	if err != nil {
		return nil, nil, fmt.Errorf("read links: %w", err)
	}
	links, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Link])
	if err != nil {
		return nil, nil, fmt.Errorf("read links: %w", err)
	}
	return pages, links, nil
}

// Clear forgets everything, so that a crawl can begin anew.
func (s *Store) Clear(ctx context.Context) error {
	if _, err := s.pool.Exec(ctx, "TRUNCATE pages, links, urls"); err != nil {
		return fmt.Errorf("forget what is stored: %w", err)
	}
	return nil
}
