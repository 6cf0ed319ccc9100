package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// moveBatch is how many rows are moved at a time.
const moveBatch = 200

// moved are the tables, and what a row of each is moved with. Links go before pages
// and pages before URLs, so that at no time a page that counts lacks its links.
var moved = []struct{ table, columns, key string }{
	{"links", "from_url, to_url", "from_url, to_url"},
	{"pages", "url, status, title, body, stored_at", "url"},
	{"urls", "url, found_at, queued_at", "url"},
}

// shut has the database take no writes but of who moves its rows, or has it take
// writes again. Whoever is connected is cut off, so that no write is under way.
func (s *Store) shut(ctx context.Context, shut bool) error {
	change := "ALTER DATABASE postgres RESET default_transaction_read_only"
	if shut {
		change = "ALTER DATABASE postgres SET default_transaction_read_only = on"
	}
	return s.writing(ctx, func(conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, change); err != nil {
			return fmt.Errorf("change who may write: %w", err)
		}
		_, err := conn.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE backend_type = 'client backend' AND datname = 'postgres' AND pid <> pg_backend_pid()`)
		if err != nil {
			return fmt.Errorf("cut off who might write: %w", err)
		}
		return nil
	})
}

// writing gives a connection that may write though the database is shut.
func (s *Store) writing(ctx context.Context, do func(*pgx.Conn) error) error {
	pooled, err := s.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	conn := pooled.Hijack() // nobody else is to write by it
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, "SET default_transaction_read_only = off"); err != nil {
		return fmt.Errorf("ask to write: %w", err)
	}
	return do(conn)
}

// MoveTo moves all rows into another database and returns how many pages those were.
// From then on nobody else writes here, unless it fails or ctx ends. A row is stored there before it is deleted here, so a crash between
// the two leaves it in both, which readers count once.
func (s *Store) MoveTo(ctx context.Context, to *Store) (pages int64, err error) {
	defer func() {
		if err != nil {
			if again := s.shut(context.WithoutCancel(ctx), false); again != nil {
				err = fmt.Errorf("%w; and nobody may write to it now: %w", err, again)
			}
		}
	}()
	if err := s.shut(ctx, true); err != nil {
		return 0, err
	}
	err = s.writing(ctx, func(from *pgx.Conn) error {
		for _, m := range moved {
			n, err := moveTable(ctx, from, to, m.table, m.columns, m.key)
			if err != nil {
				return fmt.Errorf("move %s: %w", m.table, err)
			}
			if m.table == "pages" {
				pages = n
			}
		}
		return nil
	})
	return pages, err
}

// Size is how large the database is, in bytes.
func (s *Store) Size(ctx context.Context) (bytes int64, err error) {
	if err := s.pool.QueryRow(ctx, "SELECT pg_database_size(current_database())").Scan(&bytes); err != nil {
		return 0, fmt.Errorf("ask how large the database is: %w", err)
	}
	return bytes, nil
}

func moveTable(ctx context.Context, from *pgx.Conn, to *Store, table, columns, key string) (total int64, err error) {
	for {
		n, err := moveRows(ctx, from, to, table, columns, key)
		total += n
		if err != nil || n < moveBatch {
			return total, err
		}
	}
}

// moveRows moves one batch. What is moved is locked meanwhile.
func moveRows(ctx context.Context, from *pgx.Conn, to *Store, table, columns, key string) (n int64, err error) {
	err = pgx.BeginFunc(ctx, from, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, fmt.Sprintf("SELECT %s FROM %s ORDER BY %s LIMIT %d FOR UPDATE", columns, table, key, moveBatch))
		if err != nil {
			return err
		}
		batch, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) ([]any, error) { return row.Values() })
		if err != nil || len(batch) == 0 {
			return err
		}
		if err := to.take(ctx, table, columns, batch); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, fmt.Sprintf("DELETE FROM %[1]s WHERE (%[2]s) IN (SELECT %[2]s FROM %[1]s ORDER BY %[2]s LIMIT %[3]d)", table, key, len(batch)))
		n = tag.RowsAffected()
		return err
	})
	return n, err
}

// take stores rows of another database that aren't here yet.
func (s *Store) take(ctx context.Context, table, columns string, rows [][]any) error {
	places := "$1"
	for i := 1; i < len(rows[0]); i++ {
		places += fmt.Sprintf(", $%d", i+1)
	}
	batch := &pgx.Batch{}
	for _, row := range rows {
		batch.Queue(fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s) ON CONFLICT DO NOTHING", table, columns, places), row...)
	}
	// Without a transaction around it, a batch is one.
	if err := s.pool.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("store what is moved: %w", err)
	}
	return nil
}
