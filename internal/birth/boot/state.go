package boot

import (
	"context"
	"crypto/hpke"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/renameio/v2"
)

// state is what a machine keeps on its disk until it is a cell, for root alone. The
// ticket's token isn't in it: what has to be said with it is kept as it was said.
type state struct {
	Order Order `json:"order"`
	// ID is the ticket's, Contact this machine's.
	ID      string `json:"id"`
	Contact string `json:"contact"`
	// Key is the private key that secrets are sealed to.
	Key         []byte          `json:"key"`
	Hello       json.RawMessage `json:"hello"`
	AnswerKey   []byte          `json:"answer_key"`
	ProgressKey []byte          `json:"progress_key"`
	BornAt      time.Time       `json:"born_at"`
	// Until is when this machine ends itself, by its own clock.
	Until  time.Time `json:"until"`
	Report report    `json:"report"`
}

// begin takes an order up, or goes on with what an earlier call has begun. It
// returns nil where a cell lives already and only remains are to be removed.
func (n *Newborn) begin(path string) (*life, error) {
	s, err := n.readState()
	if err != nil {
		return nil, err
	}
	if s == nil {
		order, err := readOrder(path)
		if errors.Is(err, fs.ErrNotExist) {
			if claim, claimed := n.Machine.Claim(); claim != nil {
				return nil, claimed
			}
		}
		if err == nil {
			err = order.Check()
		}
		if err != nil {
			return nil, err
		}
		if s, err = n.newState(order); err != nil {
			return nil, err
		}
	}
	// What is kept needs the file no more, and the ticket stands in it.
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove the order: %w", err)
	}
	return &life{state: s, newborn: n}, nil
}

// newState makes the key by which this machine is known and says hello with it.
func (n *Newborn) newState(o Order) (*state, error) {
	t := o.Ticket
	key, err := kem().GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	now := time.Now()
	s := &state{Order: o, ID: t.ID(), BornAt: now.Truncate(time.Millisecond), Until: n.until(o, now)}
	if s.Key, err = key.Bytes(); err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	h := hello{
		Public: key.PublicKey().Bytes(), At: time.Now().UTC(),
		Machine: n.line("/etc/machine-id"), Boot: n.line("/proc/sys/kernel/random/boot_id"), Host: n.line("/proc/sys/kernel/hostname"),
		IDs: n.ids(),
	}
	h.MAC = h.code(t)
	if s.Hello, err = json.Marshal(h); err != nil {
		return nil, err
	}
	s.Contact = contactOf(h.Public)
	s.AnswerKey, s.ProgressKey = t.answerKey(s.Contact), t.progressKey(s.Contact)
	s.Order.Ticket.Token = ""
	return s, n.writeState(s)
}

// until is when the machine ends itself, by its own clock, right or wrong.
func (n *Newborn) until(o Order, now time.Time) time.Time {
	text, _, _ := strings.Cut(n.line("/proc/uptime"), " ")
	seconds, err := strconv.ParseFloat(text, 64)
	left := time.Duration(float64(o.Lifetime)-seconds) * time.Second
	if err != nil || left <= 0 {
		return o.Deadline
	}
	return now.Add(left)
}

// line is what a file of one line says, "" where there is none.
func (n *Newborn) line(path string) string {
	text, err := os.ReadFile(n.at(path))
	if err != nil {
		return ""
	}
	return strings.ToValidUTF8(strings.TrimSpace(string(text)), "?")
}

func (n *Newborn) readState() (*state, error) {
	text, err := os.ReadFile(n.at(stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read how far the birth is: %w", err)
	}
	s := &state{}
	if err := json.Unmarshal(text, s); err != nil {
		return nil, fmt.Errorf("read how far the birth is, %s: it isn't what was written there", stateFile)
	}
	return s, nil
}

func (n *Newborn) writeState(s *state) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	folder := filepath.Dir(n.at(stateFile))
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("note how far the birth is: %w", err)
	}
	if err := renameio.WriteFile(n.at(stateFile), text, 0o600, renameio.WithTempDir(folder)); err != nil {
		return fmt.Errorf("note how far the birth is: %w", err)
	}
	return nil
}

// key is the private key.
func (s *state) key() (hpke.PrivateKey, error) { return kem().NewPrivateKey(s.Key) }

// finish removes all of the birth but the cell: first what is no one's business,
// last what would run this again.
func (n *Newborn) finish(ctx context.Context) error {
	for _, path := range []string{orderFile, stateFile} {
		if err := os.Remove(n.at(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove what the birth has left: %w", err)
		}
	}
	if _, err := os.Lstat(n.at(unitFile)); err == nil {
		if err := n.Machine.Systemctl(ctx, "disable", unitName); err != nil {
			return err
		}
		if err := os.Remove(n.at(unitFile)); err != nil {
			return fmt.Errorf("remove what the birth has left: %w", err)
		}
		if err := n.Machine.Systemctl(ctx, "daemon-reload"); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(n.at(directory)); err != nil {
		return fmt.Errorf("remove what the birth has left: %w", err)
	}
	return nil
}
