package searchengine

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/discover"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/local"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/pairing"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/spool"
	"github.com/homeostat-io/terraform-provider-homeostat/replyto"
)

// sidecar is what an application needs of the sidecar beside it: the real spool at
// the real local listener, the list of APIs, and the name of its database. It
// outlives the application, as a sidecar does.
func (e *engine) sidecar(t *testing.T, partner string) (address string) {
	t.Helper()
	listener, err := local.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Handle("GET /v1/services/{service}", http.HandlerFunc(e.list))
	listener.Handle("GET "+pairing.Path, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(pairing.Told{Service: "db", Cell: partner})
	}))
	queue := spool.NewKafka(spool.KafkaConfig{Brokers: []string{e.brokerAddress()}, Timeout: 3 * time.Second}, []string{"urls"})
	s, err := spool.Open(t.Context(), spool.Config{
		Dir: t.TempDir(), Topics: []string{"urls"}, Pace: spool.PacerConfig{Hold: time.Minute},
		MaxBytes: 1 << 26, MaxAge: time.Hour, SegmentBytes: 1 << 20,
		MaxMessageBytes: 1 << 16, MaxBatch: 1000, MaxRequestBytes: 1 << 23,
		Broker: queue, Timeout: 3 * time.Second, Log: slog.New(slog.DiscardHandler),
		Header: func() spool.Header {
			h := spool.Header{Name: replyto.Header}
			if to := e.replyTo.Load(); to != nil {
				h.Value = []byte(*to)
			}
			return h
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	listener.Handle(spool.Path, s.Handler())
	served := make(chan error, 1)
	go func() { served <- listener.Serve() }()
	t.Cleanup(func() {
		_ = listener.Close() // Serve says how it ended
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		queue.Close()
	})
	return listener.URL()
}

// list answers with the cells of a service, in the order of their names.
func (e *engine) list(w http.ResponseWriter, r *http.Request) {
	service, err := discover.New(r.PathValue("service"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	cells, err := service.All(context.WithoutCancel(r.Context()))
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	listed := []map[string]string{}
	for _, c := range cells {
		listed = append(listed, map[string]string{"url": "http://" + c.Address, "health": c.Health})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"service": r.PathValue("service"), "cells": listed})
}
