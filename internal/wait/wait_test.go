package wait

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestFor(t *testing.T) {
	tests := map[string]struct {
		d, ends, want time.Duration // ends: of the context, 0 for at once
		err           error
	}{
		"a while":                  {d: time.Minute, ends: time.Hour, want: time.Minute},
		"no time":                  {d: 0, ends: time.Hour},
		"less than no time":        {d: -time.Second, ends: time.Hour},
		"the context ends first":   {d: time.Hour, ends: time.Minute, want: time.Minute, err: context.Canceled},
		"of a context that is out": {d: 0, ends: 0, err: context.Canceled},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				if tt.ends == 0 {
					cancel()
				}
				timer := time.AfterFunc(tt.ends, cancel)
				defer timer.Stop()
				began := time.Now()
				if err := For(ctx, tt.d); !errors.Is(err, tt.err) {
					t.Errorf("error %v, want %v", err, tt.err)
				}
				if took := time.Since(began); took != tt.want {
					t.Errorf("it took %v, want %v", took, tt.want)
				}
			})
		})
	}
}
