package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/birth"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/loop"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/peer"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/sense"
)

// sources wires what a leader looks at for one service. The function returned
// lets go of connections.
func sources(p *policy.Policy, s *policy.Service, host birth.Host, keys *peer.Keys) (loop.Sources, func(), error) {
	siblings := sense.NewSiblings(sense.SiblingsConfig{
		Timeout: max(s.Beat/2, 500*time.Millisecond), MaxAge: 3 * s.Beat, Sign: keys.Transport,
	})
	src := loop.Sources{
		Vitals:     siblings.Gather,
		Gone:       func(c fleet.Cell) bool { return gone(host, c) },
		Alive:      alive,
		Terraforms: terraforms,
	}
	if s.KafkaLag == nil {
		return src, siblings.Close, nil
	}
	lag, err := kafkaLag(p, s)
	if err != nil {
		return loop.Sources{}, nil, err
	}
	src.Lag = lag.Sample
	return src, func() { siblings.Close(); lag.Close() }, nil
}

// gone reports whether a cell's sidecar is proven to have ended: it ran on this
// very machine, and its process is not there any more.
func gone(host birth.Host, c fleet.Cell) bool {
	if c.PID == 0 || c.Machine == "" || c.Machine != host.Machine {
		return false
	}
	return !alive(c.PID, c.Started)
}

// alive reports whether a process of this machine runs. What can't be told
// counts as alive: only proof lets a cell be replaced at once.
func alive(pid int, started uint64) bool {
	running, err := birth.Running(pid, started)
	return running || err != nil
}

func kafkaLag(p *policy.Policy, s *policy.Service) (*sense.Kafka, error) {
	secure, err := kafkaTLS(p.Kafka.TLS)
	if err != nil {
		return nil, fmt.Errorf("kafka.tls: %w", err)
	}
	mechanism, err := kafkaSASL(p.Kafka.SASL)
	if err != nil {
		return nil, fmt.Errorf("kafka.sasl: %w", err)
	}
	return sense.NewKafka(sense.KafkaConfig{
		Brokers: p.Kafka.Brokers, Topic: s.KafkaLag.Topic, Group: s.KafkaLag.Group,
		Timeout: p.Kafka.Timeout, TLS: secure, SASL: mechanism,
		WithoutCommit: withoutCommit(s.KafkaLag.WithoutCommit),
	})
}

// withoutCommit translates the policy's word for partitions on which the group
// has committed nothing yet.
func withoutCommit(word string) sense.WithoutCommit {
	switch word {
	case policy.CommitEarliest:
		return sense.FromStart
	case policy.CommitLatest:
		return sense.FromEnd
	default:
		return sense.Unknown
	}
}

func kafkaTLS(t *policy.KafkaTLS) (*tls.Config, error) {
	if t == nil {
		return nil, nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, err
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", t.CAFile)
		}
	}
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, err
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

func kafkaSASL(s *policy.KafkaSASL) (sasl.Mechanism, error) {
	if s == nil {
		return nil, nil
	}
	password, err := secret(s.PasswordEnv, s.PasswordFile)
	if err != nil {
		return nil, err
	}
	switch s.Mechanism {
	case "scram-sha-256":
		return scram.Mechanism(scram.SHA256, s.Username, password)
	case "scram-sha-512":
		return scram.Mechanism(scram.SHA512, s.Username, password)
	default:
		return plain.Mechanism{Username: s.Username, Password: password}, nil
	}
}

// secret reads a secret from the environment or a file; the policy names only
// where it is.
func secret(env, file string) (string, error) {
	if env != "" {
		v, ok := os.LookupEnv(env)
		if !ok {
			return "", fmt.Errorf("the environment has no %s", env)
		}
		return v, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}
