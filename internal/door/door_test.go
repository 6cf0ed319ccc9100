package door

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit"
)

// key is one of a person's, of birth's, or of an authority.
type key struct{ ssh.Signer }

func newKey(t *testing.T) key {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return key{signer}
}

func (k key) line() string { return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k.PublicKey()))) }

// certify signs a new key for a user.
func (k key) certify(t *testing.T, user string) ssh.Signer {
	t.Helper()
	own := newKey(t)
	c := &ssh.Certificate{
		Key: own.PublicKey(), CertType: ssh.UserCert, ValidPrincipals: []string{user}, ValidBefore: ssh.CertTimeInfinity,
		Permissions: ssh.Permissions{Extensions: map[string]string{"permit-pty": ""}},
	}
	if err := c.SignCert(rand.Reader, k); err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewCertSigner(c, own)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// target is a machine, and what is done with it.
type target struct {
	*testing.T
	sshd *testkit.SSHDServer
}

func newTarget(t *testing.T, config string) target {
	return target{T: t, sshd: testkit.SSHD(t, testkit.SSHDOptions{Users: []string{"birth", "person"}, Config: config})}
}

func (m target) dial(user string, signer ssh.Signer) (*ssh.Client, error) {
	return ssh.Dial("tcp", m.sshd.Addr(), &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, Timeout: 10 * time.Second,
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), // it is this test's own
	})
}

func (m target) login(user string, signer ssh.Signer) *ssh.Client {
	m.Helper()
	client, err := m.dial(user, signer)
	if err != nil {
		m.Fatalf("log in as %s: %v", user, err)
	}
	m.Cleanup(func() { client.Close() })
	return client
}

// ends waits for the end of a connection.
func ends(t *testing.T, client *ssh.Client) {
	t.Helper()
	ended := make(chan struct{})
	go func() {
		_ = client.Wait() // it ends in whatever way
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Fatal("the connection doesn't end")
	}
}

func (m target) getsIn(user string, signer ssh.Signer) bool {
	m.Helper()
	var in bool
	// A reload closes the port for an instant.
	testkit.Await(m, 10*time.Second, func(context.Context) error {
		client, err := m.dial(user, signer)
		if err == nil {
			in = true
			return client.Close()
		}
		in = false
		if !strings.Contains(err.Error(), "unable to authenticate") {
			return err
		}
		return nil
	})
	return in
}

func (m target) sh(script string) string {
	m.Helper()
	out, err := m.sshd.Exec(m.Context(), "sh", "-ec", script)
	if err != nil {
		m.Fatal(err)
	}
	return out
}

// call calls the package on the machine, as its root.
func (m target) call(what string, a Access) (string, error) {
	m.Helper()
	self, err := os.Executable()
	if err != nil {
		m.Fatal(err)
	}
	text, err := json.Marshal(a)
	if err != nil {
		m.Fatal(err)
	}
	return m.sshd.Exec(m.Context(), "env", onMachine+"="+what, self, string(text))
}

func (m target) must(what string, a Access) string {
	m.Helper()
	out, err := m.call(what, a)
	if err != nil {
		m.Fatal(err)
	}
	return out
}

// append adds lines to a file of the machine.
func (m target) append(path string, lines ...string) {
	m.Helper()
	m.sh("mkdir -p " + filepath.Dir(path) + "; cat >>" + path + " <<'END'\n" + strings.Join(lines, "\n") + "\nEND")
}

// What birth used is gone from every place, what others use stays to the letter,
// and opening again puts it back as it was.
func TestKeyAndAuthority(t *testing.T) {
	m := newTarget(t, "AuthorizedKeysFile .ssh/authorized_keys .ssh/more /etc/ssh/keys/%u\n"+
		"Include /etc/ssh/sshd_config.d/test*.conf\n")
	birth, authority, person, others := newKey(t), newKey(t), newKey(t), newKey(t)
	m.append("/etc/ssh/sshd_config.d/test.conf", `TrustedUserCAKeys "/etc/ssh/authorities"`)
	m.sh("kill -HUP 1")
	m.append("/etc/ssh/authorities", "# authorities", others.line()+" theirs", authority.line()+" birth's")
	m.append("/home/birth/.ssh/authorized_keys", person.line()+" a person", `no-pty,environment="A=b c" `+birth.line()+" homeostat", "not a key")
	m.append("/home/birth/.ssh/more", "cert-authority "+others.line(), "cert-authority,principals=\"x,birth\" "+authority.line())
	m.append("/etc/ssh/keys/root", "command=\"false\" "+birth.line(), person.line())
	m.sh("chown -R birth: /home/birth/.ssh; chmod 640 /home/birth/.ssh/authorized_keys; chmod 600 /etc/ssh/keys/root")
	look := "for f in /home/birth/.ssh/* /etc/ssh/keys/* /etc/ssh/authorities; do stat -c '%n %U %G %a' $f; sort $f; done"
	before := m.sh(look)
	gets := func(want bool) {
		t.Helper()
		for what, signer := range map[string]ssh.Signer{"key": birth, "certificate": authority.certify(t, "birth"), "authority's": authority.certify(t, "root")} {
			user := map[bool]string{true: "root", false: "birth"}[what == "authority's"]
			if got := m.getsIn(user, signer); got != want {
				t.Errorf("%s gets in as %s: %v, want %v", what, user, got, want)
			}
		}
		for _, signer := range []ssh.Signer{person, others.certify(t, "birth")} {
			if !m.getsIn("birth", signer) {
				t.Error("somebody else is locked out")
			}
		}
		if !m.getsIn("root", person) {
			t.Error("somebody else is locked out of root")
		}
	}
	gets(true)
	a := Access{User: "birth", AuthorizedKey: birth.line() + " by another comment", Authority: authority.line()}
	if left := m.must("left", a); strings.Count(left, "\n") != 3 {
		t.Errorf("what stands open is told as\n%s", left)
	}
	m.must("shut", a)
	gets(false)
	if left := m.must("left", a); left != "" {
		t.Errorf("after shutting there is left\n%s", left)
	}
	after := m.sh(look)
	if strings.Count(before, "\n")-strings.Count(after, "\n") != 4 || strings.Contains(after, birth.line()) || !strings.Contains(after, "birth birth 640") {
		t.Errorf("files were\n%sand are\n%s", before, after)
	}
	m.must("shut", a)
	m.must("open", a)
	m.must("open", a)
	if again := m.sh(look); again != before {
		t.Errorf("files were\n%sand are after opening again\n%s", before, again)
	}
	gets(true)
}

// A door that a machine which went down has half shut is shut to the end, and one
// that nobody began to shut stays open.
func TestFinish(t *testing.T) {
	m := newTarget(t, "AuthorizedKeysFile .ssh/authorized_keys\n")
	birth := newKey(t)
	m.append("/home/birth/.ssh/authorized_keys", birth.line())
	rule := "mkdir -p /etc/sudoers.d; echo 'birth ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/birth"
	m.sh("chown -R birth: /home/birth/.ssh; " + rule)
	a := Access{User: "birth", AuthorizedKey: birth.line(), SudoRule: "/etc/sudoers.d/birth"}
	m.must("finish", a)
	if left := m.must("left", a); strings.Count(left, "\n") != 1 || !m.getsIn("birth", birth) {
		t.Errorf("a door that nobody began to shut: %q", left)
	}
	m.must("shut", a)
	m.sh(rule)
	// What comes after the end is nobody's birth: it stays.
	m.must("finish", a)
	if left := m.must("left", a); !strings.Contains(left, "sudo rule") {
		t.Errorf("left is %q", left)
	}
	m.sh("sed -i '/\"shut\": true/d; s/\\(\"rule\".*\\),$/\\1/' " + Record) // as one that was cut has it
	m.must("finish", a)
	m.must("finish", a)
	if left := m.must("left", a); left != "" {
		t.Errorf("after finishing there is left %q", left)
	}
}

// A user made for births goes with its rule, its home and all it runs, and comes
// back the same.
func TestTemporaryUser(t *testing.T) {
	m := newTarget(t, "AuthorizedKeysFile .ssh/authorized_keys\n")
	birth, person := newKey(t), newKey(t)
	m.append("/home/birth/.ssh/authorized_keys", birth.line())
	m.append("/home/person/.ssh/authorized_keys", person.line())
	m.append("/etc/sudoers.d/birth", "birth ALL=(ALL) NOPASSWD: ALL")
	m.sh("chown -R birth: /home/birth; chown -R person: /home/person; chmod 440 /etc/sudoers.d/birth; groupadd -g 7777 extra; usermod -aG extra birth")
	m.sh("setsid setpriv --reuid=birth --regid=birth --clear-groups sh -c 'trap : TERM; while :; do sleep 1; done' >/dev/null 2>&1 &")
	a := Access{User: "birth", AuthorizedKey: birth.line(), Temporary: true, SudoRule: "/etc/sudoers.d/birth"}
	who := m.sh("grep birth: /etc/passwd; id birth")
	stays := m.login("person", person)
	session := m.login("birth", birth)
	// A client knows that it is let in before sshd's processes show it.
	testkit.Await(t, 10*time.Second, func(context.Context) error {
		if left := m.must("left", a); !strings.Contains(left, "session of birth") || !strings.Contains(left, "sudo rule") {
			return fmt.Errorf("what stands open is told as\n%s", left)
		}
		return nil
	})
	m.must("shut", a)
	ends(t, session)
	if _, err := stays.NewSession(); err != nil {
		t.Errorf("another user's session was closed: %v", err)
	}
	if left := m.sh("id birth 2>/dev/null || :; ls -d /home/birth /etc/sudoers.d/birth 2>/dev/null || :; ps -o pid= -U 5001 || :"); strings.TrimSpace(left) != "" {
		t.Errorf("there is left: %s", left)
	}
	if m.getsIn("birth", birth) || !m.getsIn("person", person) {
		t.Error("the wrong one gets in")
	}
	m.must("shut", a)
	m.must("open", a)
	m.must("open", a)
	if now := m.sh("grep birth: /etc/passwd; id birth"); now != who {
		t.Errorf("the user was\n%sand is\n%s", who, now)
	}
	if rule := m.sh("stat -c %a /etc/sudoers.d/birth; cat /etc/sudoers.d/birth"); rule != "440\nbirth ALL=(ALL) NOPASSWD: ALL\n" {
		t.Errorf("the rule came back as %q", rule)
	}
	if !m.getsIn("birth", birth) {
		t.Error("birth doesn't get in again")
	}
}

// Through birth's own connection the answer comes back whole, and then the
// connection ends, while others of the same user are closed before.
func TestThroughOwnConnection(t *testing.T) {
	m := newTarget(t, "AuthorizedKeysFile /etc/ssh/keys/%u\n")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"birth", "root"} {
		t.Run(user, func(t *testing.T) {
			m := target{T: t, sshd: m.sshd}
			birth := newKey(t)
			m.append("/etc/ssh/keys/"+user, birth.line())
			a, err := json.Marshal(Access{User: user, AuthorizedKey: birth.line(), Temporary: user == "birth"})
			if err != nil {
				t.Fatal(err)
			}
			other, own := m.login(user, birth), m.login(user, birth)
			session, err := own.NewSession()
			if err != nil {
				t.Fatal(err)
			}
			sudo := map[bool]string{true: "sudo -n "}[user != "root"]
			out, err := session.CombinedOutput(sudo + "env " + onMachine + "=shut " + self + " '" + string(a) + "'; echo answer $?")
			if err != nil || string(out) != "answer 0\n" {
				t.Errorf("the answer is %q, %v", out, err)
			}
			ends(t, other)
			ends(t, own)
			if m.getsIn(user, birth) {
				t.Error("birth still gets in")
			}
		})
	}
}

// Where nothing was noted the access goes where sshd looks first.
func TestOpenWithoutARecord(t *testing.T) {
	m := newTarget(t, "AuthorizedKeysFile .ssh/authorized_keys\n")
	birth, authority := newKey(t), newKey(t)
	m.must("open", Access{User: "birth", AuthorizedKey: birth.line(), Authority: authority.line()})
	if !m.getsIn("birth", birth) || !m.getsIn("birth", authority.certify(t, "birth")) {
		t.Error("birth doesn't get in")
	}
	if out := m.sh("stat -c '%U %a' /home/birth/.ssh /home/birth/.ssh/authorized_keys"); out != "birth 700\nbirth 600\n" {
		t.Errorf("the file of keys is %q", out)
	}
}

// A user that can't be a temporary one, and a configuration that is wrong, end
// it before anything is taken.
func TestRefusals(t *testing.T) {
	birth := newKey(t).line()
	for name, c := range map[string]struct {
		access Access
		want   string
	}{
		"no user":    {Access{}, "no name of an account"},
		"root":       {Access{User: "root", Temporary: true}, "made for births"},
		"rule":       {Access{User: "x", SudoRule: "/etc/sudoers.d/../passwd"}, "no file in"},
		"two keys":   {Access{User: "x", AuthorizedKey: birth + "\n" + birth}, "single line"},
		"not a key":  {Access{User: "x", Authority: "ssh-rsa nonsense"}, "authority"},
		"empty rule": {Access{User: "x", SudoRule: "/etc/sudoers.d"}, "no file in"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := c.access.Check(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%+v: %v", c.access, err)
			}
		})
	}
	m := newTarget(t, "AuthorizedKeysFile .ssh/authorized_keys\n")
	m.append("/home/birth/.ssh/authorized_keys", birth)
	if err := os.WriteFile(filepath.Join(m.sshd.Directory(), "sshd_config"), []byte("Nonsense yes\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := m.call("shut", Access{User: "birth", AuthorizedKey: birth})
	if err == nil || !strings.Contains(err.Error(), "Nonsense") {
		t.Errorf("with a wrong configuration: %v", err)
	}
	if !strings.Contains(m.sh("cat /home/birth/.ssh/authorized_keys"), birth) {
		t.Error("the key was taken before the configuration was read")
	}
}

func TestSplitConfig(t *testing.T) {
	for line, want := range map[string]string{
		"":                                  "",
		"  # a comment":                     "",
		"Port 22":                           "Port|22",
		"Port=22 # here":                    "Port|22",
		"Port = 22":                         "Port|22",
		"\tMatch User=x":                    "Match|User=x",
		`AuthorizedKeysFile "a b" c`:        "AuthorizedKeysFile|a b|c",
		`TrustedUserCAKeys "unterminated x`: "TrustedUserCAKeys|unterminated x",
	} {
		if got := strings.Join(splitConfig(line), "|"); got != want {
			t.Errorf("%q is %q, want %q", line, got, want)
		}
	}
}

func TestIncludesEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(path, []byte("Include "+path+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := readConfig(path, map[string][]string{}, 0); err == nil || !strings.Contains(err.Error(), strconv.Itoa(includeDepth)) {
		t.Errorf("a file that includes itself: %v", err)
	}
	if err := readConfig(path+".none", map[string][]string{}, 0); errors.Is(err, os.ErrNotExist) {
		t.Error("a file that isn't there is an error")
	}
}
