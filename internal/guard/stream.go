package guard

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Stream is what `terraform plan -json` said.
type Stream struct {
	Changes     []Change // planned changes and drift, in the order they came
	Diagnostics []Diagnostic
	Summary     *Summary // nil if Terraform did not come to the end of the plan
	Text        []string // lines that are no JSON, such as early warnings
	Unknown     []string // types of messages this package does not know
}

// Diagnostic is an error or a warning of Terraform's.
type Diagnostic struct {
	Severity string `json:"severity"` // error or warning
	Summary  string `json:"summary"`
	Detail   string `json:"detail"`
	Address  string `json:"address"`
	Range    *struct {
		Filename string `json:"filename"`
		Start    struct {
			Line int `json:"line"`
		} `json:"start"`
	} `json:"range"`
}

func (d Diagnostic) String() string {
	text := d.Summary
	if d.Detail != "" {
		text += ": " + strings.Join(strings.Fields(d.Detail), " ")
	}
	if d.Range != nil {
		text = fmt.Sprintf("%s:%d: %s", d.Range.Filename, d.Range.Start.Line, text)
	}
	return text
}

// Summary counts the plan's changes as Terraform does: a replacement is one
// added and one removed.
type Summary struct {
	Add    int `json:"add"`
	Change int `json:"change"`
	Import int `json:"import"`
	Remove int `json:"remove"`
}

// maxLine bounds one line of a stream. Diagnostics carry source snippets and
// outputs carry values, so lines can be long; more than this is no plan.
const maxLine = 64 << 20

// message is the part of a line that the guard reads.
type message struct {
	Type       string          `json:"type"`
	Diagnostic *Diagnostic     `json:"diagnostic"`
	Summary    *Summary        `json:"changes"`
	Change     *resourceChange `json:"change"`
}

type resourceChange struct {
	Resource  resourceAddr    `json:"resource"`
	Previous  *resourceAddr   `json:"previous_resource"`
	Action    string          `json:"action"`
	Reason    string          `json:"reason"`
	Importing json.RawMessage `json:"importing"`
}

type resourceAddr struct {
	Addr     string `json:"addr"`
	Type     string `json:"resource_type"`
	Provider string `json:"implied_provider"`
}

// silent are the known messages that say nothing about what will change.
var silent = map[string]bool{
	"version": true, "log": true, "outputs": true, "init_output": true,
	"refresh_start": true, "refresh_complete": true, "refresh_errored": true,
	"apply_start": true, "apply_progress": true, "apply_complete": true, "apply_errored": true,
	"provision_start": true, "provision_progress": true, "provision_complete": true, "provision_errored": true,
	"ephemeral_op_start": true, "ephemeral_op_progress": true, "ephemeral_op_complete": true, "ephemeral_op_errored": true,
}

// ReadStream reads the output of `terraform plan -json`. Lines that are no
// JSON are kept as text; a line of JSON that is cut or damaged is an error, as
// it may have been a change.
func ReadStream(r io.Reader) (Stream, error) {
	var s Stream
	scanner := bufio.NewScanner(r)
	scanner.Buffer(make([]byte, 0, 64<<10), maxLine)
	for n := 1; scanner.Scan(); n++ {
		if err := s.line(scanner.Bytes()); err != nil {
			return s, fmt.Errorf("read line %d of the plan's JSON stream: %w", n, err)
		}
	}
	if err := scanner.Err(); err != nil {
		return s, fmt.Errorf("read the plan's JSON stream: %w", err)
	}
	return s, nil
}

func (s *Stream) line(line []byte) error {
	line = bytes.TrimSpace(line)
	if len(line) == 0 {
		return nil
	}
	if line[0] != '{' {
		s.Text = append(s.Text, string(line))
		return nil
	}
	var m message
	if err := json.Unmarshal(line, &m); err != nil {
		return err
	}
	switch {
	case m.Type == "planned_change" || m.Type == "resource_drift":
		if m.Change == nil {
			return fmt.Errorf("a %s without its change", m.Type)
		}
		s.Changes = append(s.Changes, m.Change.change(m.Type == "resource_drift"))
	case m.Type == "diagnostic":
		if m.Diagnostic == nil {
			return errors.New("a diagnostic without its text")
		}
		s.Diagnostics = append(s.Diagnostics, *m.Diagnostic)
	case m.Type == "change_summary":
		if m.Summary == nil {
			return errors.New("a change summary without its numbers")
		}
		s.Summary = m.Summary
	case !silent[m.Type]:
		s.Unknown = append(s.Unknown, m.Type)
	}
	return nil
}

// change puts the stream's words for actions into the plan's.
func (c *resourceChange) change(drift bool) Change {
	out := Change{
		Address: c.Resource.Addr, Type: c.Resource.Type, Provider: c.Resource.Provider,
		Mode: modeOf(c.Resource.Addr), Drift: drift, Reason: c.Reason,
		Importing: c.Action == "import" || len(c.Importing) > 0 && string(c.Importing) != "null",
	}
	if c.Previous != nil {
		out.PreviousAddress = c.Previous.Addr
	}
	switch c.Action {
	case "noop", "move", "import":
		out.Actions = []string{kindNoOp}
	case "replace":
		out.Actions = []string{kindDelete, kindCreate}
	case "remove":
		out.Actions = []string{kindForget}
	default:
		out.Actions = []string{c.Action}
	}
	return out
}

// modeOf reads the mode from an address; an address that can't be read has none
// and is refused for that later.
func modeOf(addr string) string {
	a, err := parseAddress(addr)
	if err != nil {
		return ""
	}
	return a.mode
}

// Doubt says why the stream alone is not enough to judge by, or "".
func (s Stream) Doubt() string {
	if len(s.Unknown) > 0 {
		return fmt.Sprintf("the stream holds messages of an unknown type, %q", s.Unknown[0])
	}
	if s.Summary == nil {
		return "the stream has no summary of the changes"
	}
	var seen Summary
	for _, c := range s.Changes {
		if c.Drift {
			continue
		}
		switch c.kind() {
		case kindCreate:
			seen.Add++
		case kindUpdate:
			seen.Change++
		case kindDelete:
			seen.Remove++
		case kindReplace:
			seen.Add++
			seen.Remove++
		}
		if c.Importing {
			seen.Import++
		}
	}
	if seen != *s.Summary {
		return fmt.Sprintf("the stream counts %+v but lists %+v", *s.Summary, seen)
	}
	return ""
}
