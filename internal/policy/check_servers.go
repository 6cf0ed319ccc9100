package policy

import (
	"net"
	"strconv"
	"strings"
)

// consul checks where and how Consul is reached.
func (d *decoder) consul(c *Consul) {
	d.addresses(&c.Addresses, 8500)
	d.pair(&c.CertFile, &c.KeyFile)
	d.match(&c.Prefix, prefixName)
	if c.Prefix == "" {
		d.refuse("Empty value", &c.Prefix, "must not be empty. Leave the line out for %q.", "homeostat")
	}
	for _, file := range []*string{&c.CAFile, &c.CertFile} {
		if *file != "" && c.Scheme == "http" {
			d.refuse("Certificates without TLS", file, `is set, but scheme is "http"%s. Write scheme = "https", or remove the file.`,
				d.unsaid(&c.Scheme))
		}
	}
}

// kafka checks where and how the brokers are reached.
func (d *decoder) kafka(k *Kafka) {
	d.addresses(&k.Brokers, 9092)
	if k.TLS != nil {
		d.pair(&k.TLS.CertFile, &k.TLS.KeyFile)
	}
	s := k.SASL
	if s == nil {
		return
	}
	d.match(&s.PasswordEnv, environmentName)
	if (s.PasswordEnv == "") == (s.PasswordFile == "") {
		d.add("Where is the password", d.at(&s.PasswordFile, s), "%s needs exactly one of password_env, the name of an environment "+
			"variable that holds the password, and password_file, a file that does.", d.names[s])
	}
}

// pair refuses a certificate without its key and a key without its
// certificate.
func (d *decoder) pair(cert, key *string) {
	if (*cert == "") != (*key == "") {
		d.add("Half a certificate", d.at(cert, key), "cert_file and key_file go together. Write both or neither.")
	}
}

// addresses checks a list of host:port.
func (d *decoder) addresses(list *[]string, port int) {
	if len(*list) == 0 {
		d.refuse("Empty value", list, "must name at least one address, as \"host:%d\".", port)
		return
	}
	seen := map[string]bool{}
	for _, address := range *list {
		if why := addressFault(address, port); why != "" {
			d.refuse("Not an address", list, "has %q. %s", address, why)
			return
		}
		if seen[address] {
			d.refuse("Written twice", list, "has %q twice. Remove one of them.", address)
			return
		}
		seen[address] = true
	}
}

// addressFault says what is wrong with a host:port, empty if nothing is.
func addressFault(address string, port int) string {
	if scheme, rest, ok := strings.Cut(address, "://"); ok {
		rest = strings.TrimRight(rest, "/")
		if scheme == "https" {
			return `Write "` + rest + `"; for Consul with TLS also scheme = "https", for Kafka a block tls.`
		}
		return `Write host:port alone: "` + rest + `".`
	}
	host, number, err := net.SplitHostPort(address)
	if err != nil {
		return "Write host:port, such as \"" + net.JoinHostPort("10.0.0.1", strconv.Itoa(port)) +
			"\"; an IPv6 address stands in brackets: \"[::1]:" + strconv.Itoa(port) + "\"."
	}
	if host == "" || strings.ContainsAny(host, " /@?#\t") {
		return "The part before the colon is no host."
	}
	if n, err := strconv.ParseUint(number, 10, 16); err != nil || n == 0 {
		return "The part after the colon is no port: it is a number from 1 to 65535."
	}
	return ""
}
