package searchengine

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/homeostat-io/terraform-provider-homeostat/examples/discover"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/pairing"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/spool"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/testkit/beside"
	"github.com/homeostat-io/terraform-provider-homeostat/replyto"
)

// sidecar is what an application needs of the sidecar beside it: the spool, the list
// of APIs, and the name of its database.
func (e *engine) sidecar(t *testing.T, partner string) (address string) {
	t.Helper()
	return beside.Sidecar(t, beside.Options{
		Brokers: []string{e.brokerAddress()},
		Topic:   "urls",
		Header: func() spool.Header {
			h := spool.Header{Name: replyto.Header}
			if to := e.replyTo.Load(); to != nil {
				h.Value = []byte(*to)
			}
			return h
		},
		Handlers: map[string]http.Handler{
			"GET /v1/services/{service}": http.HandlerFunc(e.list),
			"GET " + pairing.Path: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_ = json.NewEncoder(w).Encode(pairing.Told{Service: "db", Cell: partner})
			}),
		},
	})
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
