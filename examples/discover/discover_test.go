package discover

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// entry is one cell as Consul's health API shows it.
func entry(port int, status string) string {
	return fmt.Sprintf(`{"Node":{"Address":"10.0.0.9"},"Service":{"Address":"127.0.0.1","Port":%d},"Checks":[{"Status":%q}]}`, port, status)
}

func TestPick(t *testing.T) {
	cases := map[string]struct {
		entries []string
		want    string // "" for none
	}{
		"one passing":                 {[]string{entry(1, "passing")}, "127.0.0.1:1"},
		"warning is spared":           {[]string{entry(1, "warning"), entry(2, "passing")}, "127.0.0.1:2"},
		"warning is better than none": {[]string{entry(1, "warning"), entry(2, "critical")}, "127.0.0.1:1"},
		"critical is never drawn":     {[]string{entry(2, "critical")}, ""},
		"nobody":                      {nil, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			consul := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/v1/health/service/api" {
					t.Errorf("asked for %s", r.URL.Path)
				}
				_, _ = fmt.Fprintf(w, "[%s]", strings.Join(c.entries, ","))
			}))
			defer consul.Close()
			t.Setenv("CONSUL_HTTP_ADDR", consul.URL)
			service, err := New("api")
			if err != nil {
				t.Fatal(err)
			}
			got, err := service.Pick(t.Context())
			if c.want == "" && !errors.Is(err, ErrNone) {
				t.Errorf("Pick = %q, %v; want ErrNone", got, err)
			}
			if c.want != "" && got != c.want {
				t.Errorf("Pick = %q, %v; want %q", got, err, c.want)
			}
		})
	}
}

func TestForgetAsksAgain(t *testing.T) {
	var asked atomic.Int32
	consul := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, "[%s]", entry(int(asked.Add(1)), "passing"))
	}))
	defer consul.Close()
	t.Setenv("CONSUL_HTTP_ADDR", consul.URL)
	service, err := New("api")
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"127.0.0.1:1", "127.0.0.1:1", "127.0.0.1:2"} {
		if i == 2 {
			service.Forget()
		}
		if got, err := service.Pick(t.Context()); err != nil || got != want {
			t.Fatalf("pick %d = %q, %v; want %q", i, got, err, want)
		}
	}
}

func TestPickOutlivesConsul(t *testing.T) {
	consul := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, "[%s]", entry(1, "passing"))
	}))
	t.Setenv("CONSUL_HTTP_ADDR", consul.URL)
	service, err := New("api")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := service.Pick(t.Context()); err != nil {
		t.Fatal(err)
	}
	consul.Close()
	service.Forget()
	if got, err := service.Pick(t.Context()); err != nil || got != "127.0.0.1:1" {
		t.Fatalf("Pick without Consul = %q, %v; want the cell known before", got, err)
	}
}

func TestPickNamesAConsulThatIsAway(t *testing.T) {
	consul := httptest.NewServer(nil)
	consul.Close()
	t.Setenv("CONSUL_HTTP_ADDR", consul.URL)
	service, err := New("db")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := service.Pick(t.Context()); err == nil || !strings.Contains(err.Error(), "ask Consul for db") {
		t.Fatalf("Pick = %v", err)
	}
}
