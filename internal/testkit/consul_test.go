package testkit

import (
	"net"
	"testing"

	"github.com/hashicorp/consul/api"
)

// put writes a key, get reads it; each fails the test when Consul doesn't answer.
func put(t *testing.T, c *ConsulServer, key, value string) {
	t.Helper()
	client, err := c.Client()
	if err != nil {
		t.Fatal(err)
	}
	pair := &api.KVPair{Key: key, Value: []byte(value)}
	if _, err := client.KV().Put(pair, (&api.WriteOptions{}).WithContext(t.Context())); err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
}

func get(t *testing.T, c *ConsulServer, key string) string {
	t.Helper()
	client, err := c.Client()
	if err != nil {
		t.Fatal(err)
	}
	pair, _, err := client.KV().Get(key, (&api.QueryOptions{RequireConsistent: true}).WithContext(t.Context()))
	if err != nil {
		t.Fatalf("get %s: %v", key, err)
	}
	if pair == nil {
		return ""
	}
	return string(pair.Value)
}

func TestConsulKeepsDataThroughStopAndKillAndLosesThemWhenWiped(t *testing.T) {
	short(t)
	c := Consul(t)
	put(t, c, "homeostat/test", "kept")
	address := c.Addr()
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Kill(); err != nil {
		t.Fatal(err)
	}
	if conn, err := net.Dial("tcp", address); err == nil {
		conn.Close()
		t.Error("a killed consul still takes connections")
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := get(t, c, "homeostat/test"); got != "kept" {
		t.Errorf("after kill and start the key holds %q, want %q", got, "kept")
	}
	if c.Addr() != address {
		t.Errorf("address changed from %s to %s", address, c.Addr())
	}
	if err := c.Wipe(); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := get(t, c, "homeostat/test"); got != "" {
		t.Errorf("after a wipe the key still holds %q", got)
	}
}

func TestConsulMakesSessionsAsSoonAsItIsReady(t *testing.T) {
	short(t)
	client, err := SharedConsul(t).Client()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := client.Session().Create(&api.SessionEntry{TTL: "10s"}, nil); err != nil {
		t.Error(err)
	}
}

func TestConsulClientAgentReachesItsServer(t *testing.T) {
	short(t)
	c := Consul(t)
	agent := ConsulWith(t, ConsulOptions{Join: c, Node: "second"})
	put(t, agent, "homeostat/through-the-agent", "seen")
	if got := get(t, c, "homeostat/through-the-agent"); got != "seen" {
		t.Errorf("the server reads %q, want %q", got, "seen")
	}
}

func TestConsulPausedHangsAndGoesOn(t *testing.T) {
	short(t)
	c := Consul(t)
	put(t, c, "homeostat/paused", "yes")
	if err := c.Pause(); err != nil {
		t.Fatal(err)
	}
	// The kernel still completes the connection; nobody answers on it.
	if state := processState(t, c.PID()); state != "T" {
		t.Errorf("state of the paused process is %s, want T", state)
	}
	if err := c.Continue(); err != nil {
		t.Fatal(err)
	}
	if got := get(t, c, "homeostat/paused"); got != "yes" {
		t.Errorf("after the pause the key holds %q", got)
	}
}
