package balance

import "testing"

// With births of ten minutes a surge far above what was foreseen must last a minute.
func TestSurgeMustLast(t *testing.T) {
	calm := func() *service {
		s := newService(t, 9)
		s.obs.BirthMedian, s.obs.Offered = per(600), per(800)
		s.beats(400)
		s.obey()
		return s
	}
	s := calm()
	before := s.term("need")
	s.obs.Offered = per(4000)
	s.beats(6)
	if n := s.term("need"); n > 3.001*before {
		t.Errorf("after 30 s a need of %v is believed, want no more than three times the %v before", n, before)
	}
	if s.term("surge") < 3000 {
		t.Error("the decision doesn't show what is needed now")
	}
	s.obs.Offered = per(800)
	most := 0
	for range 60 {
		s.beats(1)
		most = max(most, s.d.Desired)
	}
	if most > 44 {
		t.Errorf("%d cells for a surge of 30 s, long before any of them can be born", most)
	}

	s = calm()
	s.obs.Offered = per(4000)
	s.beats(13)
	if n := s.term("need"); n < 3000 {
		t.Errorf("after a minute only %v is believed of the 4,000 offered", n)
	}
}

// Where births are short there is nothing to wait for.
func TestSurgeCountsAtOnceWhereBirthsAreShort(t *testing.T) {
	s := newService(t, 9)
	s.obs.Offered = per(800)
	s.beats(100)
	s.obs.Offered = per(4000)
	s.beats(2)
	if n := s.term("need"); n < 3000 {
		t.Errorf("a need of %v", n)
	}
}
