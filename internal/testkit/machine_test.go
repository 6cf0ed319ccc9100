package testkit

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sync/errgroup"
)

// Four machines boot side by side, of one file system and over disks of their
// own, and let in whom they should.
func TestMachines(t *testing.T) {
	short(t)
	t.Parallel()
	n := Machines(t)
	key, authority := newSigner(t), newSigner(t)
	specs := []MachineSpec{
		{Name: "by-key", AuthorizedKeys: []string{keyLine(key)}},
		{Name: "by-certificate", User: "birth", UserCA: keyLine(authority), Disk: 64 << 20},
		{Name: "by-user-data", UserData: userData(t, keyLine(key)), Booted: true},
		{Name: "by-late-key", User: "birth", AuthorizedKeys: []string{keyLine(key)}, UserCA: keyLine(authority), LateKey: true},
	}
	machines := make([]*Machine, len(specs))
	start := time.Now()
	boots, ctx := errgroup.WithContext(t.Context())
	for k, spec := range specs {
		boots.Go(func() (err error) {
			machines[k], err = n.StartMachine(ctx, spec)
			t.Logf("%s answers after %s", spec.Name, time.Since(start).Round(10*time.Millisecond))
			return err
		})
	}
	if err := boots.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := n.StartMachine(t.Context(), MachineSpec{}); err == nil {
		t.Error("a fifth machine boots in a network for four")
	}
	certificate := certify(t, authority, key, "birth")
	for k, c := range []struct {
		user    string
		key     ssh.Signer
		command string
		want    string
	}{
		{"root", key, "id -un; hostname; cat /proc/1/comm", "root\nby-key\nsystemd\n"},
		{"birth", certificate, "id -un; sudo -n id -un; hostname", "birth\nroot\nby-certificate\n"},
		{"root", key, "cat /var/tmp/made; hostname", "by cloud-init\nby-user-data\n"},
	} {
		// Who isn't root is let in once the boot is that far.
		Await(t, time.Minute, func(ctx context.Context) error {
			got, err := overSSH(ctx, machines[k], c.user, c.key, c.command)
			if err == nil && got != c.want {
				err = fmt.Errorf("over ssh, %s: %q, want %q", machines[k].Name(), got, c.want)
			}
			return err
		})
	}
	lateKey(t, machines[3], key, certificate)
	strangersStayOut(t, machines)
}

func lateKey(t *testing.T, m *Machine, keys ...ssh.Signer) {
	t.Helper()
	for _, key := range keys {
		if _, err := overSSH(t.Context(), m, "birth", key, "true"); err == nil {
			t.Error("a late key lets in before it is there")
		}
	}
	if err := m.LetIn(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		// sshd has been told of the authority, and reads its configuration anew.
		Await(t, 20*time.Second, func(ctx context.Context) error {
			_, err := overSSH(ctx, m, "birth", key, "sudo -n true")
			return err
		})
	}
}

func strangersStayOut(t *testing.T, machines []*Machine) {
	t.Helper()
	stranger := newSigner(t)
	seen := map[string]bool{}
	for _, m := range machines {
		for _, user := range []string{"root", "birth"} {
			if _, err := overSSH(t.Context(), m, user, stranger, "true"); err == nil {
				t.Errorf("machine %s lets a stranger in as %s", m.Name(), user)
			}
		}
		if seen[m.HostKey()] || seen[m.Address()] {
			t.Errorf("machine %s has the host key or the address of another", m.Name())
		}
		seen[m.HostKey()], seen[m.Address()] = true, true
	}
}

func TestMachineHasAnotherHostKey(t *testing.T) {
	short(t)
	t.Parallel()
	key := newSigner(t)
	m := MachinesFor(t, 1).Boot(MachineSpec{AuthorizedKeys: []string{keyLine(key)}})
	before := m.HostKey()
	if err := m.NewHostKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	if m.HostKey() == before {
		t.Error("the new host key is the old one")
	}
	if _, err := overSSH(t.Context(), m, "root", key, "true"); err != nil {
		t.Error(err)
	}
	m.hostKey = before
	if _, err := overSSH(t.Context(), m, "root", key, "true"); err == nil {
		t.Error("the machine still has its old host key")
	}
}

// Machines reach the test and each other, and nothing beyond.
func TestMachinesReach(t *testing.T) {
	short(t)
	t.Parallel()
	n := MachinesFor(t, 2)
	one, two := n.Boot(MachineSpec{}), n.Boot(MachineSpec{})
	listen := func(address string) string {
		l, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l.Addr().String()
	}
	for _, c := range []struct {
		name, addr string
		reached    bool
	}{
		{"the test", listen(n.Gateway()), true},
		{"the other machine", two.Addr(), true},
		{"the test, at an address that isn't the network's", hostAddress(t, listen), false},
		{"beyond", "192.0.2.1:22", false},
		{"the test's loopback", listen("127.0.0.1"), false},
	} {
		host, port, err := net.SplitHostPort(c.addr)
		if err != nil {
			t.Fatal(err)
		}
		_, err = one.Exec(t.Context(), "timeout", "5", "bash", "-c", fmt.Sprintf("exec 3<>/dev/tcp/%s/%s", host, port))
		if (err == nil) != c.reached {
			t.Errorf("a machine reaches %s: %v, want %t", c.name, err, c.reached)
		}
	}
	if err := two.Cut(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := two.answers(t.Context()); err == nil {
		t.Error("a machine answers though its link is down")
	}
	if err := two.Mend(t.Context()); err != nil {
		t.Fatal(err)
	}
	Await(t, time.Minute, two.answers)
}

// hostAddress listens at an address of this host that isn't the machines' or
// loopback, or else at the one that is nobody's.
func hostAddress(t *testing.T, listen func(string) string) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range addresses {
		ip, _, err := net.ParseCIDR(address.String())
		if err == nil && ip.To4() != nil && !ip.IsLoopback() && ip.To4()[1] != 213 {
			return listen(ip.String())
		}
	}
	return "198.51.100.1:22"
}

// userData lets a key in and writes a file, as a cloud's would.
func userData(t *testing.T, key string) string {
	t.Helper()
	return fmt.Sprintf(`#cloud-config
disable_root: false
ssh_authorized_keys: [ %q ]
write_files:
- path: /var/tmp/made
  content: |
    by cloud-init
`, key)
}

func newSigner(t *testing.T) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func keyLine(key ssh.Signer) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key.PublicKey())))
}

// certify has an authority sign a key for a user.
func certify(t *testing.T, authority, key ssh.Signer, user string) ssh.Signer {
	t.Helper()
	certificate := &ssh.Certificate{
		Key: key.PublicKey(), CertType: ssh.UserCert, KeyId: t.Name(),
		ValidPrincipals: []string{user}, ValidBefore: uint64(time.Now().Add(time.Hour).Unix()),
	}
	err := certificate.SignCert(rand.Reader, authority)
	signer, signerErr := ssh.NewCertSigner(certificate, key)
	if err := errors.Join(err, signerErr); err != nil {
		t.Fatal(err)
	}
	return signer
}

// overSSH runs a command through the machine's door, whose host key has to be the
// one that was said before it booted.
func overSSH(ctx context.Context, m *Machine, user string, key ssh.Signer, command string) (string, error) {
	host, _, _, _, err := ssh.ParseAuthorizedKey([]byte(m.HostKey()))
	if err != nil {
		return "", err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", m.Addr())
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return "", err
	}
	connection, channels, requests, err := ssh.NewClientConn(conn, m.Addr(), &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(key)},
		HostKeyCallback: ssh.FixedHostKey(host), HostKeyAlgorithms: []string{host.Type()},
	})
	if err != nil {
		return "", err
	}
	client := ssh.NewClient(connection, channels, requests)
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		return "", err
	}
	defer session.Close()
	out, err := session.CombinedOutput(command)
	return string(out), err
}
