package sense

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

const (
	defaultPostgresTimeout = 2 * time.Second
	defaultPostgresFresh   = time.Minute
	// probesKept is of how many looks the probe is the median, so that one
	// hiccup of the machine is no illness of the database.
	probesKept = 5
	// tooManyConnections is the SQLSTATE too_many_connections.
	tooManyConnections = "53300"
)

// PostgresConfig says which PostgreSQL is looked at, and its bounds.
type PostgresConfig struct {
	Host, Database, User string
	Port                 int
	// SSLMode is libpq's; CAFile a PEM file of authorities, empty for the
	// system's.
	SSLMode, CAFile string
	// Password is asked for each connection, so that it may change; nil for none.
	Password func() (string, error)
	// Timeout bounds one look. Default 2 s.
	Timeout time.Duration
	// Fresh is how often the connection is made anew. Default 1 min.
	Fresh  time.Duration
	Bounds DatabaseBounds
	// Now is the clock, time.Now if nil.
	Now func() time.Time
}

// Postgres looks at one PostgreSQL over one connection, which it keeps. Now and
// then it gives the connection up for a new one, and so learns what a client
// that comes now would meet. There are never two: a database that runs out of
// connections must not be pushed by who watches it. It is not safe for
// concurrent use.
type Postgres struct {
	cfg    PostgresConfig
	dial   *pgx.ConnConfig
	conn   *pgx.Conn
	closed chan struct{} // of the last connection, once it is cleaned up
	made   time.Time     // when the connection was
	fresh  reading.Reading
	probes []float64
}

// NewPostgres fills in the defaults. It connects to nothing.
func NewPostgres(cfg PostgresConfig) (*Postgres, error) {
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultPostgresTimeout
	}
	if cfg.Fresh <= 0 {
		cfg.Fresh = defaultPostgresFresh
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	settings := map[string]string{
		"host": cfg.Host, "port": strconv.Itoa(cfg.Port), "dbname": cfg.Database, "user": cfg.User,
		"sslmode": cfg.SSLMode, "sslrootcert": cfg.CAFile, "application_name": "homeostat",
	}
	dial, err := pgx.ParseConfig(keywords(settings))
	if err != nil {
		return nil, fmt.Errorf("watch PostgreSQL at %s: %w", net.JoinHostPort(cfg.Host, strconv.Itoa(cfg.Port)), err)
	}
	// Nothing is prepared on the server, so a pooler may stand in between.
	dial.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	dial.ConnectTimeout = cfg.Timeout
	return &Postgres{cfg: cfg, dial: dial, fresh: reading.Unknown("no connection has been made yet")}, nil
}

// keywords writes libpq's form of settings; empty ones are left out.
func keywords(settings map[string]string) string {
	var parts []string
	for key, value := range settings {
		if value != "" {
			parts = append(parts, key+"='"+strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value)+"'")
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}

// Look takes one look. What it can't find out is a reading without a value and
// with the reason.
func (p *Postgres) Look(ctx context.Context) Database {
	at := p.cfg.Now()
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	d, err := p.look(ctx, at)
	if err != nil {
		err = fmt.Errorf("look at PostgreSQL at %s: %w", net.JoinHostPort(p.cfg.Host, strconv.Itoa(p.cfg.Port)), inTime(ctx, err))
		d = *UnknownDatabase(reading.Reading{Reason: err.Error(), At: at})
		p.drop(ctx)
		var refused *pgconn.PgError
		if errors.As(err, &refused) && refused.Code == tooManyConnections {
			d.Share = reading.Of(1, at) // the refusal is the measurement
		}
	}
	d.judge(p.cfg.Bounds)
	return d
}

func (p *Postgres) look(ctx context.Context, at time.Time) (Database, error) {
	if p.conn != nil && (p.conn.IsClosed() || at.Sub(p.made) >= p.cfg.Fresh) {
		p.drop(ctx)
	}
	if p.conn == nil {
		if err := p.connect(ctx, at); err != nil {
			return Database{}, err
		}
	}
	began := time.Now()
	if _, err := p.conn.Exec(ctx, "select 1"); err != nil {
		return Database{}, fmt.Errorf("probe: %w", err)
	}
	p.probes = append(p.probes, time.Since(began).Seconds())
	p.probes = p.probes[max(0, len(p.probes)-probesKept):]
	d := Database{Probe: reading.Of(middle(p.probes), at), Fresh: p.fresh}
	err := p.ask(ctx, at, &d)
	return d, err
}

// connect makes the one connection, and measures how long that takes.
func (p *Postgres) connect(ctx context.Context, at time.Time) error {
	if p.closed != nil {
		select {
		case <-p.closed:
		case <-ctx.Done():
			return fmt.Errorf("the last connection has not ended yet: %w", ctx.Err())
		}
	}
	dial := p.dial.Copy()
	if p.cfg.Password != nil {
		password, err := p.cfg.Password()
		if err != nil {
			return fmt.Errorf("read the password: %w", err)
		}
		dial.Password = password
	}
	began := time.Now()
	conn, err := pgx.ConnectConfig(ctx, dial)
	if err != nil {
		p.fresh = reading.Reading{Reason: err.Error(), At: at}
		return err
	}
	p.fresh = reading.Of(time.Since(began).Seconds(), at)
	p.conn, p.closed, p.made = conn, conn.PgConn().CleanupDone(), at
	return nil
}

// drop gives the connection up.
func (p *Postgres) drop(ctx context.Context) {
	if p.conn == nil {
		return
	}
	// What can't be ended in order is cut; either way it is done with.
	_ = p.conn.Close(ctx)
	p.conn = nil
}

// Close gives the connection up and waits until nothing of it is left, or ctx
// ends.
func (p *Postgres) Close(ctx context.Context) error {
	p.drop(ctx)
	if p.closed == nil {
		return nil
	}
	select {
	case <-p.closed:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("end the connection to PostgreSQL: %w", ctx.Err())
	}
}

// middle is the median of a few numbers.
func middle(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
