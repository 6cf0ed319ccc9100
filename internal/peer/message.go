package peer

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// Window is how far the time of a request may be from the clock of the one
	// who is asked.
	Window = 30 * time.Second
	// scheme is that of the header Authorization: "Homeostat1 TIME NONCE MAC",
	// with the time in nanoseconds since 1970, and nonce and MAC in hexadecimal.
	scheme = "Homeostat1"
	// answerHeader carries the MAC of an answer.
	answerHeader = "Homeostat-Signature"

	nonceBytes   = 16
	requestLimit = 64 << 10 // bytes of a request's body
	answerLimit  = 4 << 20  // bytes of an answer's body
)

// nonce is what makes each request another.
type nonce [nonceBytes]byte

func newNonce() (n nonce) {
	_, _ = rand.Read(n[:]) // It never fails: it ends the program first.
	return n
}

func (n nonce) String() string { return hex.EncodeToString(n[:]) }

// stamp is what a request's signature carries beside the code.
type stamp struct {
	at    time.Time
	nonce nonce
	mac   string
}

// header is the value of Authorization.
func (s stamp) header() string {
	return fmt.Sprintf("%s %d %s %s", scheme, s.at.UnixNano(), s.nonce, s.mac)
}

// parseStamp reads what header wrote, and nothing else.
func parseStamp(h http.Header) (stamp, error) {
	values := h.Values("Authorization")
	if len(values) == 0 {
		return stamp{}, errors.New("the request isn't signed: the caller needs the peers' key, too")
	}
	fields := strings.Split(values[0], " ")
	if len(values) > 1 || len(fields) != 4 || fields[0] != scheme {
		return stamp{}, fmt.Errorf("the header Authorization isn't one %q", scheme+" TIME NONCE MAC")
	}
	nanos, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return stamp{}, errors.New("the time of the signature isn't a number")
	}
	n, err := hex.DecodeString(fields[2])
	if err != nil || len(n) != nonceBytes {
		return stamp{}, fmt.Errorf("the nonce isn't %d bytes in hexadecimal", nonceBytes)
	}
	s := stamp{at: time.Unix(0, nanos), nonce: nonce(n), mac: fields[3]}
	if s.header() != values[0] {
		return stamp{}, errors.New("the signature isn't written as it is to be")
	}
	return s, nil
}

// requestText is what is signed of a request. The uri is path and query as they
// go over the wire. No part holds a line feed, so no two requests have one text.
func requestText(method, uri string, body []byte, s stamp) []byte {
	return fmt.Appendf(nil, "homeostat request 1\n%s\n%s\n%x\n%d\n%s", method, uri, sha256.Sum256(body), s.at.UnixNano(), s.nonce)
}

// answerText is what is signed of an answer.
func answerText(n nonce, status int, body []byte) []byte {
	return fmt.Appendf(nil, "homeostat answer 1\n%s\n%d\n%x", n, status, sha256.Sum256(body))
}
