package boot

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/wait"
)

// unknownFor is how long nothing may be noted of a ticket before that is believed:
// a Consul that was emptied may be filled again. A variable for tests.
var unknownFor = 30 * time.Second

// clockSlack is by how much a machine's clock may be ahead at its first boot.
const clockSlack = 15 * time.Minute

// connect makes the client for Consul.
func (l *life) connect() (*fleet.Client, error) {
	cfg := fleet.Config{Addresses: l.Order.Consul, Prefix: l.Order.Prefix, Datacenter: l.Order.Datacenter, Log: l.newborn.Log}
	if l.Order.ConsulCA != "" {
		cfg.CAFile = l.newborn.at(directory + "/consul-ca.pem")
		if err := os.WriteFile(cfg.CAFile, []byte(l.Order.ConsulCA), 0o600); err != nil {
			return nil, fmt.Errorf("write Consul's CA: %w", err)
		}
	}
	return fleet.New(cfg)
}

// join says hello until it is answered. Consul may be away meanwhile.
func (l *life) join(ctx context.Context) error {
	l.newborn.Log.InfoContext(ctx, "joining", "cell", l.cell(), "contact", l.Contact, "consul", l.Order.Consul)
	var last error
	for {
		done, err := l.speak(ctx)
		if done {
			l.report(ctx, Progress{Step: "joined"})
			return nil
		}
		if err == nil {
			err = l.standing(ctx)
		}
		if final(err) {
			return err
		}
		if err != nil && ctx.Err() == nil {
			l.newborn.Log.WarnContext(ctx, "not joined yet", "err", err)
			last = err
		}
		if wait.For(ctx, lookEvery) != nil {
			return errors.Join(fmt.Errorf("join: %w", context.Cause(ctx)), last)
		}
	}
}

// speak says hello unless that lies there, and takes the answer.
func (l *life) speak(ctx context.Context) (joined bool, err error) {
	mails, err := l.consul.JoinMails(ctx, l.ID)
	if err != nil {
		return false, err
	}
	find := func(name string) int {
		return slices.IndexFunc(mails, func(m fleet.JoinMail) bool { return m.Name == name })
	}
	k := find(answerMail + l.Contact)
	if k < 0 {
		if find(helloMail+l.Contact) < 0 {
			err = l.hello(ctx)
		}
		if r := find(refusalMail + l.Contact); r >= 0 {
			l.refused(mails[r].Text)
		}
		return false, err
	}
	key, err := l.key()
	if err != nil {
		return false, err
	}
	secrets, err := open(key, l.AnswerKey, mails[k].Text)
	if err != nil {
		// Somebody else has written it, in whose place the right one can come.
		return false, errors.Join(err, l.consul.TakeJoin(ctx, l.ID, answerMail+l.Contact))
	}
	l.secrets = secrets
	// The hello goes first, or it would be answered once more.
	if err := l.consul.TakeJoin(ctx, l.ID, helloMail+l.Contact, answerMail+l.Contact, refusalMail+l.Contact); err != nil {
		return false, err
	}
	return true, nil
}

// hello is said once something is noted of the ticket; until then standing counts.
func (l *life) hello(ctx context.Context) error {
	err := l.consul.PostJoin(ctx, l.ID, helloMail+l.Contact, l.Hello)
	if errors.Is(err, fleet.ErrNotFound) {
		return nil
	}
	return err
}

// refused says once that another machine is waited for. This one goes on saying
// hello until its time is over: whoever waits may have named the wrong one.
func (l *life) refused(text []byte) {
	if why, known := readRefusal(l.AnswerKey, text); known && why != l.whyNot {
		l.whyNot = why
		l.newborn.Console("the ticket is refused: " + why)
	}
}

// standing returns why nobody waits for this machine any more, as far as Consul
// tells. One that can't be asked, or doesn't tell, says nothing.
func (l *life) standing(ctx context.Context) error {
	note, err := l.consul.Ticket(ctx, l.ID)
	switch {
	case err != nil:
		l.newborn.Log.WarnContext(ctx, "what is noted of the ticket can't be read", "err", err)
		return nil
	case note == nil && l.unknown.IsZero():
		l.unknown = time.Now()
		return nil
	case note == nil && time.Since(l.unknown) < unknownFor:
		return nil
	case note == nil:
		return ErrUnknown
	case note.Contact != "" && note.Contact != l.Contact:
		return ErrUsed
	case stateOf(note, time.Now().Add(-clockSlack)) == Expired:
		return ErrExpired
	}
	l.unknown = time.Time{}
	return nil
}

// outbound is the address from which this machine reaches the first of the
// addresses that has a way.
func outbound(addresses []string) (string, error) {
	var errs []error
	for _, address := range addresses {
		if !strings.Contains(address, "://") {
			address = "http://" + address
		}
		u, err := url.Parse(address)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		port := u.Port()
		if port == "" {
			port = "8500"
		}
		// To connect a UDP socket sends nothing: the kernel looks for the way.
		conn, err := net.DialTimeout("udp", net.JoinHostPort(u.Hostname(), port), 10*time.Second)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		host, _, err := net.SplitHostPort(conn.LocalAddr().String())
		if err := errors.Join(err, conn.Close()); err != nil {
			return "", err
		}
		return host, nil
	}
	return "", fmt.Errorf("find the address from which this machine reaches Consul: %w", errors.Join(errs...))
}

// CredentialsSecret is the secret, if there is one of that name, by which S3 lets
// the machine in, as in a file of Amazon's credentials. The cell doesn't get it.
const CredentialsSecret = "aws-credentials"

// lendCredentials gives to this process what it needs to fetch from S3. forget
// takes the file away again.
func (l *life) lendCredentials() (forget func(), err error) {
	for name, value := range l.Order.Environment {
		if strings.HasPrefix(name, "AWS_") {
			if err := os.Setenv(name, value); err != nil {
				return nil, fmt.Errorf("set %s: %w", name, err)
			}
		}
	}
	text, found := l.secrets[CredentialsSecret]
	if !found {
		return func() {}, nil
	}
	file := l.newborn.at("/run/homeostat/" + CredentialsSecret)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, fmt.Errorf("lend %s: %w", CredentialsSecret, err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("lend %s: %w", CredentialsSecret, err)
	}
	if err := os.Setenv("AWS_SHARED_CREDENTIALS_FILE", file); err != nil {
		return nil, fmt.Errorf("lend %s: %w", CredentialsSecret, err)
	}
	return func() { _ = os.Remove(file) }, nil // in memory, and gone with the power
}
