package policy

import (
	"net"
	"strings"
	"time"
)

// Postgres says that each cell of the service is a PostgreSQL, how its sidecar
// looks at it, and by which bounds it has room for one more application. The
// user needs no right but to log in; with `pg_read_all_stats` it sees what
// others' sessions do, too. The password itself is not part of a policy: at most
// one of password_env and password_file names where it is.
type Postgres struct {
	// Host is where the cell's sidecar reaches the database; empty for the
	// cell's own address.
	Host string `policy:"host"`
	// Port is its port; 0 for the cell's own.
	Port int `policy:"port" default:"0" within:"[0,65535]"`
	// Database is the database to connect to.
	Database string `policy:"database" default:"postgres"`
	// User is who connects.
	User string `policy:"user" default:"postgres"`
	// PasswordEnv names the environment variable that holds the password.
	PasswordEnv string `policy:"password_env"`
	// PasswordFile is a file that holds the password; one line feed at its end
	// is not part of it. It is read for each connection.
	PasswordFile string `policy:"password_file"`
	// SSLMode is how the connection is secured, as PostgreSQL's own programs
	// call it.
	SSLMode string `policy:"sslmode" default:"prefer" one:"disable|allow|prefer|require|verify-ca|verify-full"`
	// CAFile is a PEM file of the authorities that sign the database's
	// certificate; empty for the system's.
	CAFile string `policy:"ca_file"`
	// Timeout limits one look.
	Timeout time.Duration `policy:"timeout" default:"2s" within:"[100ms,1m]"`
	// Fresh is how often the one connection is made anew, which measures what a
	// client that comes now would meet.
	Fresh time.Duration `policy:"fresh" default:"1m" within:"[1s,24h]"`
	// ConnectionsUpper is the largest share of the connections, those kept for
	// superusers not counted, that may be used.
	ConnectionsUpper float64 `policy:"connections_upper" default:"0.8" within:"(0,1]"`
	// ProbeUpper is how long `select 1` may take on a connection that is there;
	// the median of five looks is held against it.
	ProbeUpper time.Duration `policy:"probe_upper" default:"50ms" within:"[100us,1m]"`
}

// postgres checks how a database is looked at.
func (d *decoder) postgres(s *Service) {
	p := s.Postgres
	if p == nil {
		return
	}
	d.notEmpty(&p.Database)
	d.notEmpty(&p.User)
	d.match(&p.PasswordEnv, environmentName)
	if p.PasswordEnv != "" && p.PasswordFile != "" {
		d.add("Two passwords", d.at(&p.PasswordFile, p), "%s has password_env and password_file. Keep one of them.", d.names[p])
	}
	if strings.ContainsAny(p.Host, " /@?#\t:") && net.ParseIP(p.Host) == nil {
		d.refuse("Not a host", &p.Host, "is %q. Write a host's name or an address alone; the port has a line of its own.", p.Host)
	}
}
