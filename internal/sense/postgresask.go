package sense

import (
	"context"
	"fmt"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

// question asks for all counts at once. Who may not see others' sessions sees
// that they are there, but not what they do: then backends are counted by
// database, in which the server's own helpers are counted too.
const question = `
select pg_has_role(current_user, 'pg_read_all_stats', 'usage'),
  (select count(*) from pg_stat_activity where backend_type = 'client backend'),
  (select coalesce(sum(numbackends), 0) from pg_stat_database),
  (select count(*) from pg_stat_activity
    where backend_type = 'client backend' and state = 'active' and pid <> pg_backend_pid()),
  (select count(*) from pg_stat_activity
    where backend_type = 'client backend' and state = 'active' and pid <> pg_backend_pid()
      and wait_event_type is not null and wait_event_type not in ('Client', 'Activity', 'Timeout', 'Extension')),
  current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
    - coalesce(current_setting('reserved_connections', true)::int, 0),
  pg_is_in_recovery(),
  (select count(*) from pg_stat_replication),
  (select coalesce(max(extract(epoch from replay_lag)), 0)::float8 from pg_stat_replication),
  case when pg_is_in_recovery() and pg_last_wal_receive_lsn() is distinct from pg_last_wal_replay_lsn()
    then extract(epoch from now() - pg_last_xact_replay_timestamp())::float8 else 0 end`

// ask fills in what the server itself counts.
func (p *Postgres) ask(ctx context.Context, at time.Time, d *Database) error {
	var (
		seesAll, standby                            bool
		clients, backends, active, waiting, senders int64
		limit                                       int
		behind                                      float64
		lag                                         *float64
	)
	err := p.conn.QueryRow(ctx, question).Scan(&seesAll, &clients, &backends, &active, &waiting, &limit, &standby, &senders, &behind, &lag)
	if err != nil {
		return fmt.Errorf("ask for its sessions: %w", err)
	}
	if limit < 1 {
		return fmt.Errorf("it says that %d connections may be made", limit)
	}
	blind := reading.Reading{At: at, Reason: fmt.Sprintf("user %s may not see others' sessions: grant it pg_read_all_stats", p.cfg.User)}
	d.Active, d.Waiting, d.Replication = blind, blind, blind
	connections := float64(backends)
	if seesAll {
		connections = float64(clients)
		d.Active, d.Waiting = reading.Of(float64(active), at), reading.Of(float64(waiting), at)
	}
	d.Connections, d.Limit = reading.Of(connections, at), reading.Of(float64(limit), at)
	d.Share = reading.Of(min(1, connections/float64(limit)), at)
	switch {
	case standby && lag == nil:
		d.Replication = reading.Reading{At: at, Reason: "the replica has replayed no transaction yet"}
	case standby:
		d.Replication = reading.Of(max(0, *lag), at)
	case seesAll && senders == 0:
		d.Replication = reading.Reading{At: at, Reason: "there is no replica"}
	case seesAll:
		d.Replication = reading.Of(max(0, behind), at)
	}
	return nil
}
