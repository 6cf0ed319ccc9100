package spool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Path is where messages for a topic are taken, as a pattern of http.ServeMux.
const Path = "POST /v1/queue/{topic}"

const (
	// KeyHeader carries the key of a single message.
	KeyHeader = "Homeostat-Key"
	// HeaderPrefix begins the names of its own headers, which are in lower case on the
	// queue.
	HeaderPrefix = "Homeostat-Header-"

	// LinesType is the content type of a batch of JSON objects, one a line. What is
	// neither this nor ListType is the body of one message.
	LinesType = "application/x-ndjson"
	// ListType is that of the array.
	ListType = "application/vnd.homeostat.messages+json"

	// answerLimit bounds how long a request waits for the disk.
	answerLimit = 30 * time.Second
	// idMost bounds a caller's id, in bytes.
	idMost = 256
)

// errRequest is a mistake of the caller's.
type errRequest struct {
	status int
	text   string
}

func (e *errRequest) Error() string { return e.text }

func bad(status int, format string, args ...any) error {
	return &errRequest{status, fmt.Sprintf(format, args...)}
}

// Handler takes messages at Path and answers 202 with their ids once they are on
// disk:
//
//	404 the topic is none of the spool's
//	400 the request can't be read; 413 it is too large
//	429 a bound is reached: Retry-After says when to try again
//	503 the disk refuses, or the cell ends: the messages may have been taken
//
// One message is a request's body, with the key, id and headers in the request's; a
// batch has them in JSON, and all of it is taken or nothing.
func (s *Spool) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), answerLimit)
		defer cancel()
		topic := r.PathValue("topic")
		if s.topics[topic] == nil {
			answer(w, bad(http.StatusNotFound, "topic %q is none of this spool's, which the policy names: %s", topic, strings.Join(s.cfg.Topics, ", ")))
			return
		}
		messages, err := s.messages(http.MaxBytesReader(w, r.Body, s.cfg.MaxRequestBytes), r)
		if err != nil {
			answer(w, err)
			return
		}
		ids, err := s.Add(ctx, topic, messages)
		if err != nil {
			answer(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusAccepted)
		_ = json.NewEncoder(w).Encode(struct { // whoever has gone sends it again, with the same id or not
			IDs []string `json:"ids"`
		}{ids})
	})
}

// answer says why nothing was taken.
func answer(w http.ResponseWriter, err error) {
	var refusal *Refusal
	var request *errRequest
	status := http.StatusServiceUnavailable
	switch {
	case errors.As(err, &request):
		status = request.status
	case errors.As(err, &refusal):
		switch refusal.Reason {
		case RefusedBytes, RefusedAge:
			status = http.StatusTooManyRequests
		case RefusedSize:
			status = http.StatusRequestEntityTooLarge
		}
		if refusal.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int((refusal.RetryAfter+time.Second-1)/time.Second)))
		}
	}
	http.Error(w, err.Error(), status)
}

// messages reads what a request brings.
func (s *Spool) messages(body io.Reader, r *http.Request) ([]Message, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		kind = "" // none, or one that only the message's reader knows
	}
	var all []Message
	switch kind {
	case LinesType:
		all, err = s.lines(json.NewDecoder(body))
	case ListType:
		all, err = s.list(json.NewDecoder(body))
	default:
		all, err = single(body, r.Header)
	}
	var large *http.MaxBytesError
	var own *errRequest
	switch {
	case errors.As(err, &large):
		return nil, bad(http.StatusRequestEntityTooLarge, "the request is larger than %d bytes", large.Limit)
	case err != nil && !errors.As(err, &own):
		return nil, bad(http.StatusBadRequest, "read the request: %v", err)
	}
	return all, err
}

// single is the one message of a request without a batch.
func single(body io.Reader, h http.Header) ([]Message, error) {
	b, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	m := Message{ID: h.Get(IDHeader), Body: b}
	if keys := h.Values(KeyHeader); len(keys) > 0 {
		m.Key = []byte(keys[0])
	}
	for name, values := range h {
		own, found := strings.CutPrefix(name, HeaderPrefix)
		if !found || own == "" {
			continue
		}
		for _, v := range values {
			m.Headers = append(m.Headers, Header{strings.ToLower(own), []byte(v)})
		}
	}
	slices.SortStableFunc(m.Headers, func(a, b Header) int { return strings.Compare(a.Name, b.Name) })
	return []Message{m}, checkID(m.ID)
}

// wireMessage is a message of a batch.
type wireMessage struct {
	ID string `json:"id"`
	// Key or KeyBase64 is the key, Body or BodyBase64 the body; the second of each is
	// for bytes that are no text.
	Key        *string           `json:"key"`
	KeyBase64  []byte            `json:"key_base64"`
	Headers    map[string]string `json:"headers"`
	Body       *string           `json:"body"`
	BodyBase64 []byte            `json:"body_base64"`
}

func (w wireMessage) message() (Message, error) {
	m := Message{ID: w.ID, Key: w.KeyBase64, Body: w.BodyBase64}
	if w.Key != nil && w.KeyBase64 != nil || w.Body != nil && w.BodyBase64 != nil {
		return m, errors.New("give key or key_base64, and body or body_base64, not both")
	}
	if w.Key != nil {
		m.Key = []byte(*w.Key)
	}
	if w.Body != nil {
		m.Body = []byte(*w.Body)
	}
	for name, value := range w.Headers {
		m.Headers = append(m.Headers, Header{name, []byte(value)})
	}
	slices.SortFunc(m.Headers, func(a, b Header) int { return strings.Compare(a.Name, b.Name) })
	return m, checkID(m.ID)
}

func checkID(id string) error {
	if len(id) > idMost || strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("an id has at most %d bytes, and no control characters", idMost)
	}
	return nil
}

// lines reads objects until the end.
func (s *Spool) lines(d *json.Decoder) ([]Message, error) {
	var all []Message
	for {
		var w wireMessage
		err := d.Decode(&w)
		if errors.Is(err, io.EOF) {
			break
		}
		if all, err = s.another(all, w, err); err != nil {
			return nil, err
		}
	}
	return all, empty(all)
}

// list reads an array, and that nothing follows it.
func (s *Spool) list(d *json.Decoder) ([]Message, error) {
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return nil, errors.Join(errors.New("an array of messages is expected"), err)
	}
	var all []Message
	for d.More() {
		var w wireMessage
		err := d.Decode(&w)
		if all, err = s.another(all, w, err); err != nil {
			return nil, err
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the array")
	}
	return all, empty(all)
}

// another adds a message that was read, unless there are too many.
func (s *Spool) another(all []Message, w wireMessage, err error) ([]Message, error) {
	var m Message
	if err == nil {
		m, err = w.message()
	}
	if err != nil {
		return nil, fmt.Errorf("message %d: %w", len(all)+1, err)
	}
	if len(all) == s.cfg.MaxBatch {
		return nil, bad(http.StatusRequestEntityTooLarge, "more than %d messages in a request", s.cfg.MaxBatch)
	}
	return append(all, m), nil
}

func empty(all []Message) error {
	if len(all) == 0 {
		return errors.New("there is no message in it")
	}
	return nil
}
