// Package store keeps the search engine's pages, links and URLs in PostgreSQL: in
// one, or, by Databases, in several.
//
// A page and the URLs found on it are stored in one transaction, and a URL goes
// to the queue from the table where that transaction put it (a transactional
// outbox). So a URL is never lost, and storing a page twice changes nothing.
//
// The connections outlive the database: each new one asks anew where it is.
package store

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

//go:embed schema.sql
var schema string

// Locate says where the database is at this moment, as host:port.
type Locate func(ctx context.Context) (string, error)

// Store is a pool of connections. Its methods may be called concurrently.
type Store struct {
	pool *pgxpool.Pool
}

// Open returns a Store of up to connections connections, which are made when
// first needed: the database may be away.
func Open(ctx context.Context, locate Locate, connections int) (*Store, error) {
	config, err := pgxpool.ParseConfig("postgres://postgres@localhost/postgres?sslmode=disable&connect_timeout=3")
	if err != nil {
		return nil, fmt.Errorf("configure connections: %w", err)
	}
	config.MaxConns = int32(connections)
	config.BeforeConnect = func(ctx context.Context, c *pgx.ConnConfig) error {
		return point(ctx, c, locate)
	}
	config.AfterConnect = prepare
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open connections: %w", err)
	}
	return &Store{pool: pool}, nil
}

// point directs a new connection to where the database is now.
func point(ctx context.Context, c *pgx.ConnConfig, locate Locate) error {
	address, err := locate(ctx)
	if err != nil {
		return fmt.Errorf("find the database: %w", err)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("find the database: %w", err)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return fmt.Errorf("find the database: port of %s: %w", address, err)
	}
	c.Host, c.Port, c.Fallbacks = host, uint16(number), nil
	return nil
}

// tablesLock is the number of the lock that is held while the tables are made.
const tablesLock = 727365

// prepare makes the tables where they are missing. Whether they are is asked
// first, since CREATE INDEX IF NOT EXISTS locks the table even if it exists.
//
// Cells start side by side; one makes the tables, the others wait. They look
// again in a transaction that begins with the lock held: in one that waited for
// it, PostgreSQL may still answer from what it knew before.
func prepare(ctx context.Context, conn *pgx.Conn) error {
	if exist, err := tablesExist(ctx, conn); err != nil || exist {
		return err
	}
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", tablesLock); err != nil {
		return fmt.Errorf("wait for whoever makes the tables: %w", err)
	}
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if exist, err := tablesExist(ctx, tx); err != nil || exist {
			return err
		}
		if _, err := tx.Exec(ctx, schema); err != nil {
			return fmt.Errorf("make the tables: %w", err)
		}
		return nil
	})
	if err != nil {
		return err // the connection is closed, and the lock ends with it
	}
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_unlock($1)", tablesLock); err != nil {
		return fmt.Errorf("let others look at the tables: %w", err)
	}
	return nil
}

// querier is a connection or a transaction.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func tablesExist(ctx context.Context, q querier) (exist bool, err error) {
	if err := q.QueryRow(ctx, "SELECT to_regclass('links') IS NOT NULL").Scan(&exist); err != nil {
		return false, fmt.Errorf("look for the tables: %w", err)
	}
	return exist, nil
}

// Close ends the connections.
func (s *Store) Close() { s.pool.Close() }

// Page is a fetched page.
type Page struct {
	URL    string   `json:"url"`
	Status int      `json:"status"` // of HTTP; 0 if the page never answered
	Title  string   `json:"title"`
	Text   string   `json:"text"`
	Links  []string `json:"links"` // absolute, within the crawl's scope
}

// Put stores a page, its links and the URLs that were known neither here nor
// elsewhere. It returns how many those are; a page that is stored already changes
// nothing.
func (s *Store) Put(ctx context.Context, page Page, elsewhere map[string]bool) (stored bool, found int64, err error) {
	// Sorted, so that two pages with the same new URLs don't deadlock.
	links := slices.Compact(slices.Sorted(slices.Values(page.Links)))
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx,
			"INSERT INTO pages (url, status, title, body) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
			page.URL, page.Status, storable(page.Title), storable(page.Text))
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		stored = true
		if _, err = tx.Exec(ctx,
			"INSERT INTO links (from_url, to_url) SELECT $1, unnest($2::text[]) ON CONFLICT DO NOTHING",
			page.URL, links); err != nil {
			return err
		}
		found, err = addURLs(ctx, tx, without(links, elsewhere))
		return err
	})
	if err != nil {
		return false, 0, fmt.Errorf("store page %s: %w", page.URL, err)
	}
	return stored, found, nil
}

// Seed makes URLs known that are not known elsewhere, so that the crawl begins with
// them. It returns how many were not known before.
func (s *Store) Seed(ctx context.Context, urls []string, elsewhere map[string]bool) (int64, error) {
	found, err := addURLs(ctx, s.pool, without(slices.Sorted(slices.Values(urls)), elsewhere))
	if err != nil {
		return 0, fmt.Errorf("seed: %w", err)
	}
	return found, nil
}

// without leaves out URLs that are known elsewhere.
func without(urls []string, elsewhere map[string]bool) []string {
	return slices.DeleteFunc(slices.Clone(urls), func(url string) bool { return elsewhere[url] })
}

// Known tells which of the URLs are known here, and whether the page is stored.
func (s *Store) Known(ctx context.Context, page string, urls []string) (known []string, stored bool, err error) {
	err = s.pool.QueryRow(ctx, `
		SELECT coalesce((SELECT array_agg(url) FROM urls WHERE url = ANY($1)), '{}'),
		       EXISTS (SELECT 1 FROM pages WHERE url = $2)`, urls, page).Scan(&known, &stored)
	if err != nil {
		return nil, false, fmt.Errorf("ask which URLs are known: %w", err)
	}
	return known, stored, nil
}

type executor interface {
	Exec(ctx context.Context, sql string, arguments ...any) (pgconn.CommandTag, error)
}

func addURLs(ctx context.Context, db executor, urls []string) (int64, error) {
	tag, err := db.Exec(ctx, "INSERT INTO urls (url) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING", urls)
	return tag.RowsAffected(), err
}

// storable makes text of the web one that PostgreSQL takes.
func storable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "")
}

// Queue hands up to limit URLs that are not on the queue to send, and marks
// them once it returns without error. URLs that another cell has in hand are
// left to it. It returns how many were sent; a crash on the way sends them
// again.
func (s *Store) Queue(ctx context.Context, limit int, send func(context.Context, []string) error) (int, error) {
	var sent int
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx,
			"SELECT url FROM urls WHERE queued_at IS NULL ORDER BY found_at LIMIT $1 FOR UPDATE SKIP LOCKED", limit)
		if err != nil {
			return err
		}
		urls, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil || len(urls) == 0 {
			return err
		}
		if err := send(ctx, urls); err != nil {
			return err
		}
		sent = len(urls)
		_, err = tx.Exec(ctx, "UPDATE urls SET queued_at = now() WHERE url = ANY($1)", urls)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("put URLs on the queue: %w", err)
	}
	return sent, nil
}

// Away says whether err means that the database can't be used at this moment,
// so that the same request may succeed later.
func Away(err error) bool {
	var answer *pgconn.PgError
	if !errors.As(err, &answer) {
		return err != nil // no answer at all: not found, refused, cut, too late
	}
	switch answer.Code[:2] {
	case "08", "40", "53", "55", "57": // connection, conflict, resources, locks, shutdown
		return true
	}
	return readOnly(err)
}

// readOnly says whether a server takes no writes: in recovery, or about to leave.
func readOnly(err error) bool {
	var answer *pgconn.PgError
	return errors.As(err, &answer) && answer.Code == "25006"
}

// Refused says whether err means that PostgreSQL can't hold this very page, so
// that the same request will fail again.
func Refused(err error) bool {
	var answer *pgconn.PgError
	return errors.As(err, &answer) && (answer.Code[:2] == "22" || answer.Code[:2] == "54")
}
