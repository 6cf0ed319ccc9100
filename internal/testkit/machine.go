package testkit

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit/machine"
)

// MachineSpec is what a machine is started as.
type MachineSpec struct {
	// Name is its host name, of letters, digits and dashes; it has one if this is
	// empty.
	Name string
	// ID is what its cloud's metadata call it; it has one if this is empty.
	ID string
	// UserData is what its cloud-init is given, as by a cloud. Without any,
	// cloud-init doesn't run.
	UserData string
	// User is who AuthorizedKeys and UserCA let in: an account made for it, which
	// may do all by the rule in SudoRule, or, if empty, root.
	User string
	// AuthorizedKeys are public key lines.
	AuthorizedKeys []string
	// UserCA is the public key line of an authority whose certificates let in.
	UserCA string
	// LateKey has sshd come up without keys and authority, until LetIn.
	LateKey bool
	// Disk is how many bytes its disk has; 0 for as many as the host's. One with a
	// size lies in memory, and keeps what it has when power is lost all the same.
	Disk int64
	// Booted has Boot wait until all is started and cloud-init is done, and not for
	// sshd alone.
	Booted bool
}

// Machine is a blank machine: Debian with systemd as its first process, sshd and
// cloud-init, in namespaces of its own over a file system it shares with others
// and can't write to. What it writes is on its disk, which outlives its power.
type Machine struct {
	spec    MachineSpec
	net     *MachineNet
	box     server // the processes the machine is made of
	number  int
	hostKey string
}

// Boot starts a machine that ends with the network's test, and returns when its
// sshd answers, or when it is booted if the spec says so. As on any machine, sshd
// is there a moment before it lets in others than root. Boot ends that test if it
// can't, so it is for that test's own goroutine; StartMachine is for others.
func (n *MachineNet) Boot(spec MachineSpec) *Machine {
	n.tb.Helper()
	m, err := n.StartMachine(n.tb.Context(), spec)
	if err != nil {
		n.tb.Fatal(err)
	}
	return m
}

// StartMachine is Boot without a test. Several may be started at once.
func (n *MachineNet) StartMachine(ctx context.Context, spec MachineSpec) (*Machine, error) {
	m := &Machine{spec: spec, net: n}
	if err := n.admit(m); err != nil {
		return nil, err
	}
	if m.spec.Name == "" {
		m.spec.Name = "machine-" + strconv.Itoa(m.number)
	}
	if m.spec.User == "" {
		m.spec.User = "root"
	}
	m.box = server{name: "machine", stopWith: syscall.SIGKILL, ready: m.answers, program: m.program}
	if err := m.make(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("boot machine %s: %w", m.Name(), err), m.Close())
	}
	return m, nil
}

func (m *Machine) make(ctx context.Context) error {
	if err := m.box.place(""); err != nil {
		return err
	}
	m.box.data = filepath.Join(m.box.directory, "disk")
	if err := errors.Join(os.Mkdir(m.box.data, 0o755), m.writeSeed(), m.newHostKeys()); err != nil {
		return err
	}
	if err := m.mountDisk(ctx); err != nil {
		return err
	}
	if err := m.Start(ctx); err != nil {
		return err
	}
	if m.spec.Booted {
		return m.AwaitBooted(ctx)
	}
	return nil
}

// program is the way into a machine.
func (m *Machine) program() program {
	n := m.net
	keys, authority := strings.Join(m.spec.AuthorizedKeys, "\n"), m.spec.UserCA
	if m.spec.LateKey {
		keys, authority = "", ""
	}
	return program{command: machine.Boot{
		Switch: n.box.PID(), Port: m.port(), Address: m.Address() + "/24", MAC: m.mac(),
		Name: m.Name(), Root: n.root, Directory: m.box.directory,
		Cgroups: n.cgroups, Cgroup: filepath.Join(n.cgroup, strconv.Itoa(m.number)),
		User: m.spec.User, Keys: keys, Authority: authority,
	}.Command()}
}

// writeSeed writes what cloud-init is given.
func (m *Machine) writeSeed() error {
	return machine.WriteSeed(m.box.directory, m.ID(), m.Name(), []byte(m.spec.UserData))
}

// ID is what the machine knows as its own id, from its cloud's metadata.
func (m *Machine) ID() string { return cmp.Or(m.spec.ID, "i-"+filepath.Base(m.box.directory)) }

// Name is the machine's host name.
func (m *Machine) Name() string { return m.spec.Name }

// User is who is let in.
func (m *Machine) User() string { return m.spec.User }

// SudoRule is the file by which User may do all, or "" for root.
func (m *Machine) SudoRule() string {
	if m.spec.User == "root" {
		return ""
	}
	return "/etc/sudoers.d/" + m.spec.User
}

// Address is the machine's IP address.
func (m *Machine) Address() string { return m.net.address(m.number) }

// Addr is where its sshd listens, host:port.
func (m *Machine) Addr() string { return net.JoinHostPort(m.Address(), "22") }

// port is the machine's link at the switch.
func (m *Machine) port() string { return "m" + strconv.Itoa(m.number) }

// mac goes with the address, so that nobody has an old one in memory for it.
func (m *Machine) mac() string { return fmt.Sprintf("02:00:00:00:00:%02x", m.number) }

// answers reports nil once sshd has said who it is.
func (m *Machine) answers(ctx context.Context) error {
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", m.Addr())
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && !strings.HasPrefix(line, "SSH-") {
		err = fmt.Errorf("port 22 of the machine says %q", line)
	}
	return err
}

// Close switches the machine off and removes all there is of it. Its place in the
// network is free for another.
func (m *Machine) Close() error {
	err := m.box.Kill()
	if m.box.data != "" && err == nil {
		err = machine.RemoveCgroup(m.cgroupPath())
	}
	err = errors.Join(err, m.box.Close())
	m.net.dismiss(m)
	return err
}

func (m *Machine) cgroupPath() string {
	return filepath.Join(m.net.cgroups, m.net.cgroup, strconv.Itoa(m.number))
}
