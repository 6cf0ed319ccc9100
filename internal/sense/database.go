package sense

import (
	"fmt"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

// Database is how a database fares, as one look at it found.
type Database struct {
	// Connections is how many clients are connected, and Limit how many may be,
	// those kept for superusers not counted. Share is their ratio, 0 to 1.
	Connections reading.Reading `json:"connections"`
	Limit       reading.Reading `json:"limit"`
	Share       reading.Reading `json:"share"`
	// Probe is how long the smallest question takes on a connection that is
	// there, the median of the last looks, and Fresh how long the last new
	// connection took to be made; both in seconds.
	Probe reading.Reading `json:"probe"`
	Fresh reading.Reading `json:"fresh"`
	// Active is how many sessions carry out a statement, and Waiting how many of
	// them wait for something other than their client: a lock, a page, the disk.
	Active  reading.Reading `json:"active"`
	Waiting reading.Reading `json:"waiting"`
	// Replication is how far behind the slowest replica is, or this database
	// itself where it is one; in seconds.
	Replication reading.Reading `json:"replication"`
	// Room is how far the database is from its bounds, 0 to 1: 1 means that
	// nothing is used, 0 that a bound is reached or passed.
	Room reading.Reading `json:"room"`
	// Cause says which bound Room is counted from.
	Cause string `json:"cause,omitempty"`
}

// DatabaseBounds are the bounds by which a database has room.
type DatabaseBounds struct {
	// Share is the largest share of the connections that may be used, 0 to 1.
	Share float64
	// Probe is the longest that the probe may take.
	Probe time.Duration
}

// UnknownDatabase is one of which nothing is known, for one reason.
func UnknownDatabase(why reading.Reading) *Database {
	return &Database{
		Connections: why, Limit: why, Share: why, Probe: why, Fresh: why,
		Active: why, Waiting: why, Replication: why, Room: why,
	}
}

// judge fills in the room. One reading that is out of its bound is enough to
// say that there is none; that there is some is known only from both.
func (d *Database) judge(b DatabaseBounds) {
	used := []struct {
		what  string
		value reading.Reading
		bound float64
	}{
		{"connections", d.Share, b.Share},
		{"probe", d.Probe, b.Probe.Seconds()},
	}
	var most float64
	missing := ""
	for _, u := range used {
		if !u.value.Known {
			missing = u.what + ": " + u.value.Reason
			continue
		}
		if share := u.value.Value / u.bound; share >= most {
			most, d.Cause = share, fmt.Sprintf("%s at %.0f %% of the bound", u.what, 100*share)
		}
	}
	at := d.Share.At
	switch {
	case most >= 1:
		d.Room = reading.Of(0, at)
	case missing != "":
		d.Room, d.Cause = reading.Reading{Reason: missing, At: at}, ""
	default:
		d.Room = reading.Of(1-most, at)
	}
}

// readings are all of the database, by what they are called.
func (d *Database) readings() map[string]*reading.Reading {
	return map[string]*reading.Reading{
		"database's connections": &d.Connections, "database's limit of connections": &d.Limit,
		"database's share of connections": &d.Share, "database's probe": &d.Probe, "database's fresh connection": &d.Fresh,
		"database's active sessions": &d.Active, "database's waiting sessions": &d.Waiting,
		"database's replication lag": &d.Replication, "database's room": &d.Room,
	}
}
