package fleet

import (
	"fmt"
	"regexp"
	"strings"
)

// Keys under <prefix>/<service>/.
const (
	keyRecord     = "record"
	keyLock       = "lock"
	keyPin        = "pin"
	keyPause      = "pause" // and <prefix>/pause for all services
	keyLaw        = "law"
	keyDecision   = "decision"
	keyApplying   = "applying"
	keyLeaving    = "leaving"
	keyTombstones = "tombstones"
	keyLeave      = "leave"
	keyLeft       = "left"
	keyPublished  = "published"
	keyBirths     = "births"
	keyRequests   = "requests"
	keyAnswers    = "answers"
	keyPairs      = "pairs"
	keyPairing    = "pairing"
	keySlow       = "slow"
)

var (
	nameRE = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)
	keyRE  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*(/[A-Za-z0-9][A-Za-z0-9_.-]*)*$`)
)

func validKey(key string) bool { return keyRE.MatchString(key) }

// checkKey refuses a key made of a name that was empty or not a name.
func checkKey(key string) error {
	if !validKey(key) {
		return fmt.Errorf("key %q in Consul: a name in it is empty or holds other than letters, digits, '-', '_' and '.'", key)
	}
	return nil
}

// checkName keeps names to what is safe in a key, in a URL and in a file name.
func checkName(kind, name string) error {
	if !nameRE.MatchString(name) {
		return fmt.Errorf("%s name %q: use letters, digits, '-', '_' and '.', beginning with a letter or digit", kind, name)
	}
	return nil
}

// key is the path of a value of a service.
func (c *Client) key(service string, parts ...string) string {
	return c.cfg.Prefix + "/" + service + "/" + strings.Join(parts, "/")
}

// allKey is the path of a value that counts for all services.
func (c *Client) allKey(name string) string { return c.cfg.Prefix + "/" + name }
