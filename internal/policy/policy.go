// Package policy reads what an operator wrote about their services: one HCL
// file, turned into typed values with every default filled in and every
// mistake named with its file, line and next step.
//
// The package is pure: bytes in, values out. It opens no file, reaches no
// server and reads no environment; whether a directory exists or a topic has
// partitions is for those who use the policy to find out. For the same reason
// HCL functions and variables are not available in a policy, and a secret is
// never written in it: only the name of the file or of the environment
// variable that holds it.
//
// The fields of the structs below are the whole language. Their tags give a
// field's name in HCL, its default and its bounds, and their comments are the
// descriptions in docs/policy.md, which is generated from them:
//
//	policy:"name"            an optional attribute or block
//	policy:"name,required"   one that must be written
//	policy:",label"          the label of the block
//	default:"5s"             the value when it is not written
//	within:"(0,1]"           an interval: ( and ) leave the bound out
//	one:"a|b"                the only values there are
package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/hashicorp/hcl/v2"
)

// Policy is what one file says.
type Policy struct {
	// Bundle is where bundles are stored, what is published for a service, by its
	// digest: a directory, relative to the policy, which may be a share;
	// `https://host/path`, where such a directory is served; or
	// `s3://bucket/prefix`, with `?endpoint=https://host` for another S3 than
	// Amazon's and `region=`, else from the usual environment.
	Bundle string `policy:"bundle"`

	Consul   Consul     `policy:"consul"`
	Kafka    *Kafka     `policy:"kafka"`
	Peers    *Peers     `policy:"peers"`
	Services []*Service `policy:"service,required"`

	// Digest is the SHA-256 of the file's bytes, in hexadecimal.
	Digest string
}

// Consul says where the record, the locks and the health of cells are kept.
type Consul struct {
	// Addresses are the agents or servers, each host:port; the next one is
	// taken when one is gone. address = "host:port" is short for a list of one.
	Addresses []string `policy:"addresses,or=address" default:"127.0.0.1:8500"`
	// Scheme is how they are spoken to.
	Scheme string `policy:"scheme" default:"http" one:"http|https"`
	// Datacenter is the Consul datacenter; empty for the agent's own.
	Datacenter string `policy:"datacenter"`
	// TokenFile is a file that holds the ACL token. Without it the token is the
	// environment's CONSUL_HTTP_TOKEN, if there is one.
	TokenFile string `policy:"token_file"`
	// CAFile is a PEM file of the authorities that sign the servers'
	// certificates; empty for the system's.
	CAFile string `policy:"ca_file"`
	// CertFile is a PEM file of the certificate shown to the servers, given
	// together with `key_file`.
	CertFile string `policy:"cert_file"`
	// KeyFile is a PEM file of the private key of `cert_file`.
	KeyFile string `policy:"key_file"`
	// Prefix is the folder of the key-value store under which everything is
	// kept, without a slash at either end.
	Prefix string `policy:"prefix" default:"homeostat"`
	// SessionTTL is how long a leader may be silent before it loses its lock.
	// Consul expires a session at up to twice this time.
	SessionTTL time.Duration `policy:"session_ttl" default:"10s" within:"[10s,24h]"`
	// LockDelay is how long Consul keeps a lock shut after its holder was lost.
	// It may be short: a leader's epoch, not this delay, is what fences the
	// one before.
	LockDelay time.Duration `policy:"lock_delay" default:"1s" within:"[0s,60s]"`
	// Timeout limits one request.
	Timeout time.Duration `policy:"timeout" default:"5s" within:"[100ms,1m]"`
}

// Kafka says where the queue is. Without the block no service can have
// kafka_lag.
type Kafka struct {
	// Brokers are some of the cluster's brokers, each host:port; the others are
	// learned from them.
	Brokers []string `policy:"brokers,required"`
	// TLS turns on encryption, an empty block with the system's authorities.
	TLS *KafkaTLS `policy:"tls"`
	// SASL turns on authentication.
	SASL *KafkaSASL `policy:"sasl"`
	// Timeout limits one request.
	Timeout time.Duration `policy:"timeout" default:"3s" within:"[100ms,1m]"`
}

// KafkaTLS says how the brokers prove who they are, and the client to them.
type KafkaTLS struct {
	// CAFile is a PEM file of the authorities that sign the brokers'
	// certificates; empty for the system's.
	CAFile string `policy:"ca_file"`
	// CertFile is a PEM file of the certificate shown to the brokers, given
	// together with `key_file`.
	CertFile string `policy:"cert_file"`
	// KeyFile is a PEM file of the private key of `cert_file`.
	KeyFile string `policy:"key_file"`
	// ServerName is the name expected in the brokers' certificates; empty for
	// the host of each broker's address.
	ServerName string `policy:"server_name"`
}

// KafkaSASL says who the client is. The password itself is not part of a
// policy: exactly one of password_env and password_file names where it is.
type KafkaSASL struct {
	// Mechanism is the kind of proof.
	Mechanism string `policy:"mechanism" default:"scram-sha-512" one:"plain|scram-sha-256|scram-sha-512"`
	// Username is the user's name.
	Username string `policy:"username,required"`
	// PasswordEnv names the environment variable that holds the password.
	PasswordEnv string `policy:"password_env"`
	// PasswordFile is a file that holds the password; one line feed at its end
	// is not part of it.
	PasswordFile string `policy:"password_file"`
}

// Peers says by what sidecars, and the provider, prove to each other who they
// are when they ask for vitals, have a cell drain, or order it to leave. A
// sidecar that listens on loopback alone needs none.
type Peers struct {
	// KeyFile is a file that holds the key they share, of at least 32 bytes, the
	// same everywhere (`openssl rand -hex 32`). Only its owner may write it, and
	// nobody but owner and group read it. Of several lines each is a key that is
	// accepted, and the first one signs: a new key is added as the second line
	// everywhere, then made the first, then the old one is removed. A changed
	// file is read again by itself.
	KeyFile string `policy:"key_file,required"`
}

// Parse reads a policy. The file name is only used in diagnostics. With an
// error among the diagnostics the policy is nil; all errors that can be told
// apart come at once.
func Parse(filename string, src []byte) (*Policy, hcl.Diagnostics) {
	file, diags := readFile(filename, src)
	if diags.HasErrors() {
		// What could be read of a broken file would only add errors that go
		// away with the first.
		return nil, diags
	}
	digest := sha256.Sum256(src)
	p := &Policy{Digest: hex.EncodeToString(digest[:])}
	d := newDecoder()
	d.policy(file.Body, p)
	complete(d, p)
	check(d, p)
	if d.diags.HasErrors() {
		sortByLine(d.diags)
		return nil, d.diags
	}
	return p, d.diags
}

// complete sets what depends on other fields.
func complete(d *decoder, p *Policy) {
	for _, s := range p.Services {
		if s.AnswersRequests() && !d.written(&s.Utilization.Upper) {
			s.Utilization.Upper = requestUpper
		}
		s.Law.Utilization, s.Law.RequestUtilization = s.Utilization.Upper, s.Utilization.Upper
		if s.Spool != nil {
			completeSpool(d, s.Spool)
		}
		completeSchedules(d, s)
	}
}

// Service returns the service of that name, nil if there is none.
func (p *Policy) Service(name string) *Service {
	for _, s := range p.Services {
		if s.Name == name {
			return s
		}
	}
	return nil
}
