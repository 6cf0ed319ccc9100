package guard

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// keyKind tells the kinds of instance keys apart. A star stands for the cell's
// own key in a pattern.
type keyKind int

const (
	noKey keyKind = iota
	indexKey
	nameKey
	indexStar // written [*]
	nameStar  // written ["*"]; the literal key "*" is written ["\u002a"] in a pattern
)

// instanceKey is what stands in brackets behind a module or resource.
type instanceKey struct {
	kind keyKind
	text string // decimal digits of an index, unescaped text of a name
}

func (k instanceKey) star() bool { return k.kind == indexStar || k.kind == nameStar }

// with puts the cell's key where a star is.
func (k instanceKey) with(key Key) instanceKey {
	switch k.kind {
	case indexStar:
		return instanceKey{indexKey, string(key)}
	case nameStar:
		return instanceKey{nameKey, string(key)}
	}
	return k
}

// starred is the reverse of with.
func (k instanceKey) starred() instanceKey {
	switch k.kind {
	case indexKey:
		return instanceKey{kind: indexStar}
	case nameKey:
		return instanceKey{kind: nameStar}
	}
	return k
}

// step is a name with its key: one module call on the way to a resource.
type step struct {
	name string
	key  instanceKey
}

// address is a resource instance's address taken apart. An address of a module
// (kind empty) is used for patterns only.
type address struct {
	modules []step
	mode    string // managed, data or ephemeral
	kind    string // the resource type
	name    string
	key     instanceKey
}

const (
	modeManaged   = "managed"
	modeData      = "data"
	modeEphemeral = "ephemeral"
)

var errAddress = errors.New("not a resource address")

// parseAddress takes a resource instance's address apart.
func parseAddress(s string) (address, error) {
	a, err := parse(s, false)
	if err == nil && a.kind == "" {
		err = errAddress
	}
	if err != nil {
		return address{}, fmt.Errorf("read address %q: %w", s, err)
	}
	return a, nil
}

// parsePattern takes a pattern apart: an address in which [*] and ["*"] stand
// for a key, or a module's address.
func parsePattern(s string) (address, error) {
	a, err := parse(s, true)
	if err != nil {
		return address{}, fmt.Errorf("read address pattern %q: %w", s, err)
	}
	return a, nil
}

func parse(s string, stars bool) (address, error) {
	p := &parser{rest: s, stars: stars}
	steps, err := p.steps()
	if err != nil {
		return address{}, err
	}
	var a address
	for len(steps) > 0 && steps[0].name == "module" {
		if len(steps) < 2 || steps[0].key.kind != noKey {
			return address{}, errAddress
		}
		a.modules = append(a.modules, steps[1])
		steps = steps[2:]
	}
	if len(steps) == 0 && len(a.modules) > 0 {
		return a, nil
	}
	a.mode = modeManaged
	if len(steps) == 3 && (steps[0].name == modeData || steps[0].name == modeEphemeral) && steps[0].key.kind == noKey {
		a.mode, steps = steps[0].name, steps[1:]
	}
	if len(steps) != 2 || steps[0].key.kind != noKey {
		return address{}, errAddress
	}
	a.kind, a.name, a.key = steps[0].name, steps[1].name, steps[1].key
	return a, nil
}

// parser reads an address from left to right.
type parser struct {
	rest  string
	stars bool
}

func (p *parser) steps() ([]step, error) {
	var steps []step
	for {
		end := strings.IndexAny(p.rest, ".[")
		if end < 0 {
			end = len(p.rest)
		}
		s := step{name: p.rest[:end]}
		if !hclsyntax.ValidIdentifier(s.name) {
			return nil, fmt.Errorf("%w: %q is no name", errAddress, s.name)
		}
		p.rest = p.rest[end:]
		if strings.HasPrefix(p.rest, "[") {
			var err error
			if s.key, err = p.key(); err != nil {
				return nil, err
			}
		}
		steps = append(steps, s)
		if p.rest == "" {
			return steps, nil
		}
		if p.rest[0] != '.' {
			return nil, fmt.Errorf("%w: %q follows a key", errAddress, p.rest)
		}
		p.rest = p.rest[1:]
	}
}

func (p *parser) key() (instanceKey, error) {
	inside := p.rest[1:]
	if strings.HasPrefix(inside, `"`) {
		return p.name(inside[1:])
	}
	text, rest, closed := strings.Cut(inside, "]")
	if !closed {
		return instanceKey{}, fmt.Errorf("%w: a key without its closing bracket", errAddress)
	}
	p.rest = rest
	if p.stars && text == "*" {
		return instanceKey{kind: indexStar}, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || strconv.Itoa(n) != text {
		return instanceKey{}, fmt.Errorf("%w: %q is no index", errAddress, text)
	}
	return instanceKey{indexKey, text}, nil
}

// name reads a quoted key; s begins behind the opening quote.
func (p *parser) name(s string) (instanceKey, error) {
	var text strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			return instanceKey{}, fmt.Errorf("%w: a key that is not UTF-8", errAddress)
		case r == '"':
			if !strings.HasPrefix(s[i:], `"]`) {
				return instanceKey{}, fmt.Errorf("%w: a quoted key without its closing bracket", errAddress)
			}
			p.rest = s[i+2:]
			if p.stars && s[:i] == "*" {
				return instanceKey{kind: nameStar}, nil
			}
			return instanceKey{nameKey, text.String()}, nil
		case r == '\\':
			unescaped, n, err := unescape(s[i:])
			if err != nil {
				return instanceKey{}, err
			}
			text.WriteRune(unescaped)
			i += n
			continue
		case strings.HasPrefix(s[i:], "$${") || strings.HasPrefix(s[i:], "%%{"):
			text.WriteString(s[i+1 : i+3])
			i += 3
			continue
		case strings.HasPrefix(s[i:], "${") || strings.HasPrefix(s[i:], "%{"):
			return instanceKey{}, fmt.Errorf("%w: a template in a key", errAddress)
		}
		text.WriteRune(r)
		i += size
	}
	return instanceKey{}, fmt.Errorf("%w: a quoted key without its closing quote", errAddress)
}

// unescape reads one escape sequence and tells its length.
func unescape(s string) (rune, int, error) {
	if len(s) < 2 {
		return 0, 0, fmt.Errorf("%w: a key ends in a backslash", errAddress)
	}
	switch s[1] {
	case 'n':
		return '\n', 2, nil
	case 'r':
		return '\r', 2, nil
	case 't':
		return '\t', 2, nil
	case '"', '\\':
		return rune(s[1]), 2, nil
	case 'u', 'U':
		digits := map[byte]int{'u': 4, 'U': 8}[s[1]]
		if len(s) < 2+digits {
			break
		}
		n, err := strconv.ParseUint(s[2:2+digits], 16, 32)
		if err != nil || !utf8.ValidRune(rune(n)) {
			break
		}
		return rune(n), 2 + digits, nil
	}
	return 0, 0, fmt.Errorf("%w: an escape that is none", errAddress)
}

// String writes the address as Terraform does.
func (a address) String() string {
	var b strings.Builder
	for i, m := range a.modules {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString("module." + m.name + m.key.String())
	}
	if a.kind == "" {
		return b.String()
	}
	if len(a.modules) > 0 {
		b.WriteByte('.')
	}
	if a.mode != modeManaged {
		b.WriteString(a.mode + ".")
	}
	b.WriteString(a.kind + "." + a.name + a.key.String())
	return b.String()
}

func (k instanceKey) String() string {
	switch k.kind {
	case indexKey:
		return "[" + k.text + "]"
	case indexStar:
		return "[*]"
	case nameStar:
		return `["*"]`
	case nameKey:
		if k.text == "*" {
			return `["\u002a"]` // Terraform reads it as the same key, and it is no star.
		}
		return "[" + quote(k.text) + "]"
	}
	return ""
}

// quote writes a name as Terraform's own addresses do.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i, r := range s {
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case (r == '$' || r == '%') && strings.HasPrefix(s[i+1:], "{"):
			b.WriteRune(r)
			b.WriteRune(r)
		case !unicode.IsPrint(r) && r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		case !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
