package boot

import (
	"net"
	"os"
	"testing"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// TestOutbound finds by which address a machine reaches Consul.
func TestOutbound(t *testing.T) {
	for _, addresses := range [][]string{{"127.0.0.1:8500"}, {"http://127.0.0.1:8500"}, {"https://127.0.0.1"}, {"256.0.0.1:8500", "127.0.0.1:8500"}} {
		if got, err := outbound(addresses); err != nil || !net.ParseIP(got).IsLoopback() {
			t.Errorf("%v: %q, %v", addresses, got, err)
		}
	}
	if got, err := outbound([]string{"256.0.0.1:8500"}); err == nil {
		t.Errorf("no way: %q", got)
	}
}

// TestLendCredentials has what S3 asks for be there while it is needed.
func TestLendCredentials(t *testing.T) {
	r := rigOn(t, testkit.SharedConsul(t))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "")
	t.Setenv("AWS_REGION", "")
	r.order.Environment["AWS_REGION"] = "eu-west-1"
	m := r.machine()
	l, err := m.begin(m.orderFile)
	must(t, err)
	l.secrets = map[string]string{CredentialsSecret: "[default]\n"}
	forget, err := l.lendCredentials()
	must(t, err)
	file := os.Getenv("AWS_SHARED_CREDENTIALS_FILE")
	info, err := os.Stat(file)
	if err != nil || info.Mode() != 0o600 || os.Getenv("AWS_REGION") != "eu-west-1" {
		t.Errorf("%v, %v, region %q", info, err, os.Getenv("AWS_REGION"))
	}
	forget()
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("it is left: %v", err)
	}
}
