package balance

import (
	"testing"
	"time"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/reading"
)

// service is a service under test: its observation is changed by hand between
// beats, all else stays as it was.
type service struct {
	t   *testing.T
	cfg Config
	st  State
	obs Observation
	d   Decision
}

// newService is a queue service of ready cells that do 100 messages a second
// each and know it.
func newService(t *testing.T, ready int) *service {
	s := &service{t: t, cfg: Config{Min: 1, Max: 40, WaitBound: 5 * time.Second}}
	s.cfg.Law = Law{ReleaseIdle: time.Second, ReleaseBirths: 0.01} // releases don't wait
	s.st.mem.Rates = []versionRate{{PerCell: 100}}
	s.obs = Observation{
		At: epoch, Ordered: ready, Ready: ready,
		Offered: reading.Of(100, epoch), Lag: reading.Of(0, epoch), BirthMedian: reading.Of(60, epoch),
	}
	return s
}

// beats lets n beats pass and returns the last decision. The beats before it are
// taken without words.
func (s *service) beats(n int) Decision {
	s.t.Helper()
	load := s.obs.Offered
	return s.loads(n, func(int) reading.Reading { return load })
}

// loads lets n beats pass, each with a load of its own.
func (s *service) loads(n int, offered func(beat int) reading.Reading) Decision {
	s.t.Helper()
	beat := s.cfg.filled().Beat
	r := NewRunner(s.cfg, s.st)
	for k := range n {
		s.obs.At, s.obs.Offered = s.obs.At.Add(beat), offered(k)
		if k < n-1 {
			r.Desired(s.obs)
		} else {
			s.d = r.Decide(s.obs)
		}
	}
	s.st = r.State()
	return s.d
}

// obey takes the decision as carried out at once.
func (s *service) obey() { s.obs.Ordered, s.obs.Ready = s.d.Desired, s.d.Desired }

// want checks the last decision.
func (s *service) want(desired int, code string) {
	s.t.Helper()
	if s.d.Desired != desired || s.d.Code != code {
		s.t.Errorf("desired %d (%s: %s), want %d (%s)", s.d.Desired, s.d.Code, s.d.Reason, desired, code)
	}
}

// term returns the value of a term of the last decision.
func (s *service) term(name string) float64 { s.t.Helper(); return s.find(name).Value }

// note is what the last decision says of a term.
func (s *service) note(name string) string { s.t.Helper(); return s.find(name).Note }

func (s *service) find(name string) Term {
	s.t.Helper()
	for _, term := range s.d.Terms {
		if term.Name == name {
			return term
		}
	}
	s.t.Fatalf("no term %q in %+v", name, s.d.Terms)
	return Term{}
}

func per(v float64) reading.Reading { return reading.Of(v, epoch) }

func near(a, b float64) bool {
	d := a - b
	return d < 1e-3*max(1, b) && -d < 1e-3*max(1, b)
}
