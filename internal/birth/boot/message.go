package boot

import (
	"crypto/hmac"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// Names of what the two say to each other, each followed by a contact.
const (
	helloMail    = "hello/"
	answerMail   = "answer/"
	progressMail = "progress/"
	refusalMail  = "refusal/"
)

// kem, kdf and aead are what secrets are sealed by. The first also holds against
// who keeps what he reads until he has a quantum computer.
func kem() hpke.KEM   { return hpke.MLKEM768X25519() }
func kdf() hpke.KDF   { return hpke.HKDFSHA256() }
func aead() hpke.AEAD { return hpke.AES256GCM() }

// hello is a machine's first word.
type hello struct {
	Public  []byte    `json:"public"`
	Machine string    `json:"machine"` // its machine id
	Boot    string    `json:"boot"`    // the id of the boot in which it came first
	Host    string    `json:"host"`
	IDs     []string  `json:"ids,omitempty"` // by which its infrastructure may know it
	At      time.Time `json:"at"`
	MAC     []byte    `json:"mac"`
}

// contactOf names a machine by its public key.
func contactOf(public []byte) string {
	sum := sha256.Sum256(public)
	return hex.EncodeToString(sum[:16])
}

func (h hello) code(t Ticket) []byte {
	return code(t.key("hello"), append([]string{string(h.Public), h.Machine, h.Boot, h.Host, h.At.UTC().Format(time.RFC3339Nano)}, h.IDs...)...)
}

// readHello reads a first word, and proves that whoever wrote it knows the token.
func readHello(t Ticket, contact string, text []byte) (hello, error) {
	var h hello
	if err := json.Unmarshal(text, &h); err != nil {
		return h, fmt.Errorf("it isn't one: %w", err)
	}
	if !hmac.Equal(h.MAC, h.code(t)) || contactOf(h.Public) != contact {
		return h, errors.New("its code is wrong: it doesn't know the ticket's token")
	}
	return h, nil
}

// answer gives a machine its secrets.
type answer struct {
	Sealed []byte `json:"sealed"`
	MAC    []byte `json:"mac"`
}

// answerKey authenticates answers to a contact.
func (t Ticket) answerKey(contact string) []byte { return code(t.key("answer"), contact) }

// sealInfo binds what is sealed to who it is for.
func sealInfo(contact string) []byte { return []byte("homeostat boot 1 answer " + contact) }

// seal writes the answer to a machine.
func seal(t Ticket, h hello, secrets map[string]string) ([]byte, error) {
	text, err := json.Marshal(secrets)
	if err != nil {
		return nil, err
	}
	defer clear(text)
	public, err := kem().NewPublicKey(h.Public)
	if err != nil {
		return nil, fmt.Errorf("read the machine's public key: %w", err)
	}
	contact := contactOf(h.Public)
	sealed, err := hpke.Seal(public, kdf(), aead(), sealInfo(contact), text)
	if err != nil {
		return nil, fmt.Errorf("seal its secrets: %w", err)
	}
	return json.Marshal(answer{Sealed: sealed, MAC: code(t.answerKey(contact), string(sealed))})
}

// sealedMore is more than what sealing adds to an answer, in bytes.
const sealedMore = 4 << 10

// CheckSecrets returns ErrTooLarge of package fleet where the answer with them
// wouldn't fit into Consul.
func CheckSecrets(secrets map[string]string) error {
	text, err := json.Marshal(secrets)
	if err != nil {
		return err
	}
	defer clear(text)
	if size := base64.StdEncoding.EncodedLen(len(text)) + sealedMore; size > fleet.ValueLimit {
		return fmt.Errorf("the secrets have %d bytes when they are sealed, at most %d fit: %w", size, fleet.ValueLimit, fleet.ErrTooLarge)
	}
	return nil
}

// open reads the answer to the machine that has that key. Its errors don't show
// what it held.
func open(key hpke.PrivateKey, answerKey, text []byte) (map[string]string, error) {
	var a answer
	if json.Unmarshal(text, &a) != nil || !hmac.Equal(a.MAC, code(answerKey, string(a.Sealed))) {
		return nil, errors.New("an answer isn't by whoever issued the ticket")
	}
	plain, err := hpke.Open(key, kdf(), aead(), sealInfo(contactOf(key.PublicKey().Bytes())), a.Sealed)
	if err != nil {
		return nil, fmt.Errorf("open the answer: %w", err)
	}
	defer clear(plain)
	var secrets map[string]string
	if json.Unmarshal(plain, &secrets) != nil {
		return nil, errors.New("open the answer: it holds no secrets")
	}
	return secrets, nil
}

// refusal tells a machine why it isn't answered.
type refusal struct {
	Why string `json:"why"`
	MAC []byte `json:"mac"`
}

// refuse writes a refusal to a contact.
func (t Ticket) refuse(contact, why string) ([]byte, error) {
	return json.Marshal(refusal{Why: why, MAC: code(t.answerKey(contact), "refused", why)})
}

// readRefusal reads why, from whoever knows the ticket.
func readRefusal(answerKey, text []byte) (why string, known bool) {
	var r refusal
	known = json.Unmarshal(text, &r) == nil && hmac.Equal(r.MAC, code(answerKey, "refused", r.Why))
	return r.Why, known
}

// Progress is one step of a machine on its way to a cell.
type Progress struct {
	// Step is what it began to do.
	Step string    `json:"step"`
	At   time.Time `json:"at"`
	// Error is why that failed, and Output what a failed command said last. Secrets
	// are masked in both.
	Error  string `json:"error,omitempty"`
	Output string `json:"output,omitempty"`
	// Done says that the cell is installed and started.
	Done bool `json:"done,omitempty"`
	// Over says that the machine has given up: it powers itself off, or holds another
	// cell.
	Over bool `json:"over,omitempty"`
	// Second says that another machine has come with the ticket than the one that was
	// answered. No machine says so itself.
	Second bool `json:"-"`
}

// String is one line, or more where a command said something.
func (p Progress) String() string {
	var b strings.Builder
	b.WriteString(p.Step)
	if p.Error != "" {
		b.WriteString(": " + p.Error)
	}
	if p.Output != "" {
		b.WriteString("\n" + p.Output)
	}
	return b.String()
}

// report is what a machine says of itself: its last steps, of which the first has
// the number First.
type report struct {
	First int        `json:"first"`
	Steps []Progress `json:"steps"`
}

// signedReport is a report with its authentication code.
type signedReport struct {
	Report json.RawMessage `json:"report"`
	MAC    []byte          `json:"mac"`
}

// progressKey authenticates what a contact reports.
func (t Ticket) progressKey(contact string) []byte { return code(t.key("progress"), contact) }

func (r report) sign(key []byte) ([]byte, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	return json.Marshal(signedReport{Report: text, MAC: code(key, string(text))})
}

func readReport(key, text []byte) (report, error) {
	var s signedReport
	var r report
	if err := json.Unmarshal(text, &s); err != nil {
		return r, fmt.Errorf("read a machine's report: %w", err)
	}
	if !hmac.Equal(s.MAC, code(key, string(s.Report))) {
		return r, errors.New("read a machine's report: its code is wrong")
	}
	return r, json.Unmarshal(s.Report, &r)
}
