package main

import (
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/bundle"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/peer"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// peersKeyFile names the peers' key file, to the provider and on machines where it
// lies elsewhere than the policy says.
const peersKeyFile = "HOMEOSTAT_PEERS_KEY_FILE"

// bundleCache tells the provider where what is published may lie already.
const bundleCache = "HOMEOSTAT_BUNDLE_CACHE"

// keyFile is where the policy has the peers' key; empty where it names none. The
// environment tells of a machine on which it lies elsewhere.
func keyFile(p *policy.Policy, dir string) string {
	if p.Peers == nil {
		return ""
	}
	if file := os.Getenv(peersKeyFile); file != "" {
		return file
	}
	if filepath.IsAbs(p.Peers.KeyFile) {
		return p.Peers.KeyFile
	}
	return filepath.Join(dir, p.Peers.KeyFile)
}

// peerKeys reads the peers' key; nil where the policy names none.
func peerKeys(p *policy.Policy, dir string, log *slog.Logger) (*peer.Keys, error) {
	if p.Peers == nil {
		return nil, nil
	}
	return peer.ReadKeys(keyFile(p, dir), log)
}

// checkListen refuses to serve vitals, and to drain, for everybody that reaches
// this machine.
func checkListen(at net.Addr, keys *peer.Keys) error {
	tcp, ok := at.(*net.TCPAddr)
	if keys != nil || ok && tcp.IP.IsLoopback() {
		return nil
	}
	return fmt.Errorf("listen for vitals on %s: off loopback, whoever reaches this address could have the cell drain. "+
		`Either name a file with a key that all sidecars share, in the policy: peers { key_file = "..." }; `+
		"or listen on loopback: -listen 127.0.0.1:0", at)
}

// terraformEnv tells the provider of the peers' key, and of the cache that this
// leads from, unless the policy's own terraform.env does.
func (n *leading) terraformEnv(s *policy.Service) map[string]string {
	env := map[string]string{}
	if file := keyFile(n.policy, n.home); file != "" {
		env[peersKeyFile] = file
	}
	if cache := bundle.CacheOf(n.resolve(n.policyFile)); cache != "" {
		env[bundleCache] = cache
	}
	maps.Copy(env, s.Terraform.Env)
	return env
}
