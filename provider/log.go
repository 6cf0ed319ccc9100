package main

import (
	"context"
	"log/slog"
	"maps"

	"github.com/hashicorp/terraform-plugin-log/tflog"
)

// logHandler hands what other packages log to Terraform's log, where TF_LOG
// asks for it. Messages from outside of a call have no place there, and are
// dropped by tflog.
type logHandler struct{ attrs map[string]any }

// Enabled implements slog.Handler; Terraform filters by itself.
func (h *logHandler) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (h *logHandler) Handle(ctx context.Context, r slog.Record) error {
	fields := maps.Clone(h.attrs)
	if fields == nil {
		fields = map[string]any{}
	}
	r.Attrs(func(a slog.Attr) bool {
		fields[a.Key] = a.Value.String()
		return true
	})
	switch {
	case r.Level >= slog.LevelError:
		tflog.Error(ctx, r.Message, fields)
	case r.Level >= slog.LevelWarn:
		tflog.Warn(ctx, r.Message, fields)
	case r.Level >= slog.LevelInfo:
		tflog.Info(ctx, r.Message, fields)
	default:
		tflog.Debug(ctx, r.Message, fields)
	}
	return nil
}

// WithAttrs implements slog.Handler.
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := &logHandler{attrs: maps.Clone(h.attrs)}
	if next.attrs == nil {
		next.attrs = map[string]any{}
	}
	for _, a := range attrs {
		next.attrs[a.Key] = a.Value.String()
	}
	return next
}

// WithGroup implements slog.Handler; Terraform's fields are flat.
func (h *logHandler) WithGroup(string) slog.Handler { return h }
