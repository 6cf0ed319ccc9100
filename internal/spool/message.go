package spool

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"time"
)

// IDHeader carries a message's id, in requests to the spool and in messages on the
// queue. Who reads a message twice knows it by that.
const IDHeader = "Homeostat-Message-Id"

// Message is what is taken for a topic.
type Message struct {
	ID string
	// Key decides the partition, and messages of one key keep their order; nil for
	// any partition.
	Key     []byte
	Headers []Header
	Body    []byte
	// Accepted is when the spool took it, by the clock of this machine.
	Accepted time.Time
}

// Header is one header of a message on the queue.
type Header struct {
	Name  string
	Value []byte
}

// Size is how many bytes count against the bounds: what Kafka will have to take.
func (m Message) Size() int {
	n := len(m.ID) + len(m.Key) + len(m.Body)
	for _, h := range m.Headers {
		n += len(h.Name) + len(h.Value)
	}
	return n
}

// with is the message with a header, where it has none of that name.
func (m Message) with(header Header) Message {
	if len(header.Value) == 0 || slices.ContainsFunc(m.Headers, func(h Header) bool { return strings.EqualFold(h.Name, header.Name) }) {
		return m
	}
	m.Headers = append(slices.Clip(m.Headers), header)
	return m
}

var errPayload = errors.New("decode a message: it is cut or of another format")

// encode is the message as a frame's payload: its time, then each field behind its
// length. A key's length is one more than it has, and 0 for none.
func (m Message) encode() []byte {
	b := make([]byte, 0, m.Size()+16+4*len(m.Headers))
	b = binary.LittleEndian.AppendUint64(b, uint64(m.Accepted.UnixNano()))
	b = appendField(b, []byte(m.ID))
	if m.Key == nil {
		b = binary.AppendUvarint(b, 0)
	} else {
		b = append(binary.AppendUvarint(b, uint64(len(m.Key))+1), m.Key...)
	}
	b = binary.AppendUvarint(b, uint64(len(m.Headers)))
	for _, h := range m.Headers {
		b = appendField(appendField(b, []byte(h.Name)), h.Value)
	}
	return append(b, m.Body...)
}

func appendField(b, field []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(field))), field...)
}

// fields reads what encode wrote. After the first mistake all is empty.
type fields struct {
	rest   []byte
	broken bool
}

func (f *fields) number() uint64 {
	n, size := binary.Uvarint(f.rest)
	if size <= 0 {
		f.broken, f.rest = true, nil
		return 0
	}
	f.rest = f.rest[size:]
	return n
}

func (f *fields) bytes(n uint64) []byte {
	if n > uint64(len(f.rest)) {
		f.broken, f.rest = true, nil
		return nil
	}
	field := f.rest[:n:n]
	f.rest = f.rest[n:]
	return field
}

// decode reads a frame's payload. The message shares its bytes.
func decode(payload []byte) (Message, error) {
	if len(payload) < 8 {
		return Message{}, errPayload
	}
	f := fields{rest: payload[8:]}
	m := Message{Accepted: time.Unix(0, int64(binary.LittleEndian.Uint64(payload)))}
	m.ID = string(f.bytes(f.number()))
	if n := f.number(); n > 0 {
		m.Key = f.bytes(n - 1)
	}
	count := f.number()
	if count > uint64(len(f.rest)) { // a header takes two bytes at least
		return Message{}, errPayload
	}
	for range count {
		name := f.bytes(f.number())
		m.Headers = append(m.Headers, Header{Name: string(name), Value: f.bytes(f.number())})
	}
	if f.broken {
		return Message{}, errPayload
	}
	m.Body = f.rest
	return m, nil
}
